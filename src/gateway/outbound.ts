/**
 * HTTP requests to upstreams: built from scratch, without following redirects, never to cloud metadata services, and with
 * responses bounded after decompression.
 */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { Readable } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import packageJson from '../../package.json' with { type: 'json' }
import { challengeOf } from './challenge.ts'
import { fail, type UpstreamFailure } from './connection.ts'
import type { Credential } from './credential.ts'
import { isMetadataAddress } from './metadata-addresses.ts'

export const USER_AGENT = `${packageJson.name}/${packageJson.version}`

/**
 * Refuses a URL whose host is, or resolves to, a metadata service.
 *
 * @throws UpstreamFailure if it is refused or does not resolve.
 */
export async function vetUrl(url: string): Promise<void> {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '')
  let addresses = [host]
  if (isIP(host) === 0) {
    try {
      addresses = (await lookup(host, { all: true })).map(({ address }) => address)
    } catch {
      throw fail('unreachable', `${host} does not resolve`)
    }
  }
  if (addresses.some(isMetadataAddress)) throw fail('unreachable', `${host} is a cloud metadata address: refused`)
}

export interface OutboundRequest {
  method: 'GET' | 'POST' | 'DELETE'
  headers: Record<string, string>
  body?: string
  signal: AbortSignal
}

/** @throws UpstreamFailure if there is no response. */
export async function sendHttp(url: string, request: OutboundRequest): Promise<Response> {
  try {
    return await fetch(url, {
      ...request,
      headers: { ...request.headers, 'Accept-Encoding': 'identity', 'User-Agent': USER_AGENT },
      redirect: 'manual',
      // We decompress, so that the size limit applies to the decompressed body.
      decompress: false,
      timeout: false,
    } as RequestInit)
  } catch (error) {
    if (request.signal.aborted) throw fail('cancelled', 'the request was aborted')
    throw fail('unreachable', describe(error))
  }
}

/**
 * As {@link sendHttp}, with a credential. A rejected one (401) is replaced once, which is safe: the upstream did nothing.
 * One that lacks scopes (RFC 6750 3.1) is reported to its owner.
 *
 * @throws UpstreamFailure
 */
export async function sendWith(
  credential: Credential | undefined,
  url: string,
  request: OutboundRequest,
): Promise<Response> {
  if (!credential) return sendHttp(url, request)
  const send = (header: string) => sendHttp(url, { ...request, headers: { ...request.headers, Authorization: header } })
  const ready = credential.header()
  const header = typeof ready === 'string' ? ready : await ready
  const response = await send(header)
  if (response.status === 403) {
    const { error, scope } = challengeOf(response.headers.get('www-authenticate'))
    if (error !== 'insufficient_scope' || !scope || !(await credential.wants(scope))) return response
    await response.body?.cancel()
    throw fail('more_scope', `HTTP 403: the upstream needs the scopes ${scope.join(' ').slice(0, 300)}`)
  }
  if (response.status !== 401) return response
  const another = await credential.renewed(header)
  if (another === undefined) return response
  await response.body?.cancel()
  return send(another)
}

/**
 * Reads the decompressed body piece by piece, until `take` returns true.
 *
 * @throws UpstreamFailure if it breaks off or has an unknown encoding. What `take` throws is passed on.
 */
export async function readChunks(response: Response, take: (chunk: Uint8Array) => boolean): Promise<void> {
  if (!response.body) return
  const pieces = piecesOf(response.body, response.headers.get('content-encoding'))
  let isEnough = false
  try {
    while (!isEnough) {
      const { done, value } = await pieces.next().catch(broken)
      if (done) return
      isEnough = take(value!)
    }
  } finally {
    if (isEnough) void readRest(pieces)
    else pieces.stop()
  }
}

/**
 * What may follow an answer, how long, in milliseconds, its connection is kept for it, and how many are: the runtime has
 * 256 requests open at once, and some servers never end a stream.
 */
const REST = { bytes: 65_536, ms: 250, bodies: 64 }
let resting = 0

/** Reads the end of a body of which nothing more is needed: a connection that is cut off cannot carry another request. */
async function readRest({ next, stop }: Pieces): Promise<void> {
  if (resting >= REST.bodies) return stop()
  resting++
  const timer = setTimeout(stop, REST.ms)
  try {
    for (let bytes = 0; bytes <= REST.bytes; ) {
      const { done, value } = await next()
      if (done) break
      bytes += value!.length
    }
  } catch {
    // It broke off, after the answer.
  } finally {
    resting--
    clearTimeout(timer)
    stop()
  }
}

interface Pieces {
  next(): Promise<{ done?: boolean | undefined; value?: Uint8Array | undefined }>
  stop(): void
}

function piecesOf(body: ReadableStream<Uint8Array>, encoding: string | null): Pieces {
  const name = encoding?.trim().toLowerCase() ?? 'identity'
  if (name === 'identity') {
    const reader = body.getReader()
    return { next: () => reader.read(), stop: () => void reader.cancel().catch(() => {}) }
  }
  const open = DECODERS[name]
  if (!open) {
    void body.cancel()
    throw fail('malformed', 'the answer has an unsupported content encoding')
  }
  const source = Readable.fromWeb(body as never)
  const decoded = open()
  source.on('error', error => decoded.destroy(error))
  const pieces = source.pipe(decoded)[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
  return {
    next: () => pieces.next(),
    stop() {
      source.destroy()
      decoded.destroy()
    },
  }
}

const DECODERS: Record<string, () => NodeJS.ReadWriteStream & { destroy(error?: Error): void }> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
}

/** Bodies up to this length are read in one piece. */
const SMALL = 65_536

/** Reads a whole body. @throws UpstreamFailure if it exceeds `maxBytes` decompressed, or breaks off. */
export async function readBody(response: Response, maxBytes: number): Promise<{ text: string; bytes: number }> {
  const { headers } = response
  const length = headers.get('content-length')
  if (Number(length ?? 0) > maxBytes) {
    await response.body?.cancel()
    throw tooLarge(maxBytes)
  }
  // Without either header the body is as long as it says.
  if (
    length !== null &&
    Number(length) <= SMALL &&
    !headers.has('content-encoding') &&
    !headers.has('transfer-encoding')
  )
    return { text: await response.text().catch(broken), bytes: Number(length) }
  // Decoded as it arrives, so that a large body is not decoded in one go at its end.
  const decoder = new TextDecoder()
  const parts: string[] = []
  let bytes = 0
  await readChunks(response, chunk => {
    bytes += chunk.length
    if (bytes > maxBytes) throw tooLarge(maxBytes)
    parts.push(decoder.decode(chunk, { stream: true }))
    return false
  })
  return { text: parts.join('') + decoder.decode(), bytes }
}

const tooLarge = (maxBytes: number): UpstreamFailure => fail('too_large', `the answer exceeds ${maxBytes} bytes`)

function broken(error: unknown): never {
  throw fail('unreachable', `the answer broke off: ${describe(error)}`)
}

/** Describes a socket error without the URL, which may contain a secret. */
function describe(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: string }
  return typeof code === 'string' ? code : (name ?? 'failed')
}
