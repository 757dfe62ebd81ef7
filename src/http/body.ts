import { OAuthError } from '../lib/errors.ts'

/**
 * Reads a body as text, never more than `limit` bytes of it.
 *
 * @throws OAuthError `invalid_request`, status 413, if it is larger, and 400 if the client went away or it is not UTF-8.
 */
export async function readText(request: Request, limit: number): Promise<string> {
  const tooLarge = () =>
    new OAuthError('invalid_request', `The request body must have at most ${limit} bytes`, { status: 413 })
  if (Number(request.headers.get('content-length') ?? 0) > limit) throw tooLarge()
  if (!request.body) return ''
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of request.body) {
      size += chunk.length
      if (size > limit) break
      chunks.push(chunk)
    }
  } catch {
    throw new OAuthError('invalid_request', 'The request body could not be read')
  }
  if (size > limit) throw tooLarge()
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks))
  } catch {
    throw new OAuthError('invalid_request', 'The request body must be UTF-8')
  }
}
