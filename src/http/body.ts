import { OAuthError } from '../lib/errors.ts'

/** Keeps a byte-order mark, which makes JSON invalid, because parsers differ in whether they skip it. */
const DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Reads a body of at most `limit` bytes as text.
 *
 * @throws OAuthError `invalid_request`, status 413, if it is larger, and 400 if the client disconnected or it is not UTF-8.
 */
export function readText(request: Request, limit: number): Promise<string> {
  const length = request.headers.get('content-length')
  if (Number(length ?? 0) > limit) return Promise.reject(tooLarge(limit))
  // A body of known length is read at once; any other in pieces, since it may be endless.
  if (length === null) return readPieces(request, limit).then(decode)
  return length === '0' ? Promise.resolve('') : request.arrayBuffer().then(decode, unreadable)
}

function decode(bytes: ArrayBuffer | Uint8Array): string {
  try {
    return DECODER.decode(bytes)
  } catch {
    throw new OAuthError('invalid_request', 'The request body must be UTF-8')
  }
}

async function readPieces(request: Request, limit: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let size = 0
  try {
    for await (const piece of request.body ?? []) {
      size += piece.length
      if (size > limit) break
      pieces.push(piece)
    }
  } catch {
    unreadable()
  }
  if (size > limit) throw tooLarge(limit)
  return Buffer.concat(pieces)
}

function tooLarge(limit: number): OAuthError {
  return new OAuthError('invalid_request', `The request body must have at most ${limit} bytes`, { status: 413 })
}

function unreadable(): never {
  throw new OAuthError('invalid_request', 'The request body could not be read')
}
