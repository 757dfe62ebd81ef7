/**
 * Fetches URLs supplied by clients (metadata documents, key sets) without SSRF: only https, only public addresses,
 * connecting to exactly the address that was checked, without redirects, in bounded time and size. Bun's fetch cannot pin
 * an address; `node:https` with a custom `lookup` can (a test counts the connections).
 */
import { lookup } from 'node:dns/promises'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import { JsonError, parseJson } from './json.ts'
import { contains, networkList } from './networks.ts'

/** Name resolution and allowed addresses; tests substitute their own. */
export interface Outbound {
  resolve(host: string): Promise<string[]>
  isAllowed(address: string): boolean
  /** Additional certificate authorities, PEM. */
  ca?: string
}

export const publicInternet: Outbound = {
  resolve: async host => (await lookup(host, { all: true })).map(({ address }) => address),
  isAllowed: isPublicUnicast,
}

export interface SafeFetchOptions {
  outbound: Outbound
  /** For the whole exchange, including name resolution, in milliseconds. */
  timeoutMs: number
  maxBytes: number
  /** For hosts of this machine. */
  allowHttp?: boolean
}

export interface SafeRequest {
  /** GET unless given. */
  method?: 'GET' | 'POST'
  headers?: Record<string, string>
  body?: string
}

export interface SafeResponse {
  json: unknown
  /** The Cache-Control header. */
  cacheControl: string
}

/**
 * Why a document could not be fetched, as the rest of a sentence that begins with "the document".
 *
 * @param detail For the operator's log.
 * @param reason For the requester; less specific than `detail` if that would reveal something about our network.
 */
export class SafeFetchError extends Error {
  constructor(
    readonly detail: string,
    readonly reason = detail,
  ) {
    super(detail)
    this.name = 'SafeFetchError'
  }
}

/** The same for an unresolvable name and for a private address, so that nobody can map our network. */
const NO_ADDRESS = 'has a host name without a public address'

/** Looks at the head of an answer before its body is read. @throws SafeFetchError to refuse it. */
type Check = (response: IncomingMessage) => void

/** Fetches a JSON document. @throws SafeFetchError for every kind of failure. */
export async function safeFetchJson(url: string, options: SafeFetchOptions): Promise<SafeResponse> {
  const { headers, body } = await send(url, {}, options, response => {
    if (response.statusCode !== 200) throw new SafeFetchError(`was answered with status ${response.statusCode}`)
    if (!/^application\/([a-z0-9.+-]+\+)?json\b/i.test(response.headers['content-type'] ?? ''))
      throw new SafeFetchError('is not JSON')
  })
  try {
    return { json: parseJson(body), cacheControl: headers['cache-control'] ?? '' }
  } catch (error) {
    if (error instanceof JsonError) throw new SafeFetchError(error.message)
    throw error
  }
}

/** One request, whatever the status of its answer. @throws SafeFetchError if there is no answer, or it is too large. */
export async function safeFetch(url: string, request: SafeRequest, options: SafeFetchOptions): Promise<Response> {
  const { status, headers, body } = await send(url, request, options, () => {})
  const mayHaveBody = status !== 204 && status !== 205 && status !== 304
  return new Response(mayHaveBody ? body : null, { status, headers })
}

interface Answer {
  status: number
  headers: Record<string, string>
  body: string
}

async function send(url: string, request: SafeRequest, options: SafeFetchOptions, check: Check): Promise<Answer> {
  const target = URL.parse(url)
  const isAllowed = target?.protocol === 'https:' || (target?.protocol === 'http:' && options.allowHttp === true)
  if (!target || !isAllowed || target.username || target.password) throw new SafeFetchError('is not at an https URL')
  const signal = AbortSignal.timeout(options.timeoutMs)
  // Do not throw between here and the race, or the rejection of `late` would be unhandled.
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () =>
      reject(new SafeFetchError(`did not arrive within ${options.timeoutMs / 1000} seconds`)),
    )
  })
  return Promise.race([exchange({ url: target, request, options, check }, signal), late])
}

interface Exchange {
  url: URL
  request: SafeRequest
  options: SafeFetchOptions
  check: Check
}

/** Tries the vetted addresses in turn; each but the last gets an equal share of the time. */
async function exchange(asked: Exchange, signal: AbortSignal): Promise<Answer> {
  const { url, options } = asked
  const addresses = await vettedAddresses(url.hostname.replace(/^\[|\]$/g, ''), options.outbound)
  for (const address of addresses.slice(0, -1)) {
    const share = AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMs / addresses.length)])
    try {
      return await ask(asked, address, share)
    } catch (error) {
      if (!(error instanceof UnreachableError)) throw error
    }
  }
  return ask(asked, addresses.at(-1)!, signal)
}

/** This address did not answer; another one may. */
class UnreachableError extends SafeFetchError {}

/** One request to one address. */
function ask({ url, request, options, check }: Exchange, address: string, signal: AbortSignal): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const { method = 'GET', headers, body } = request
  const isSecure = url.protocol === 'https:'
  let connected = false
  const sent = (isSecure ? https : http).request(
    {
      method,
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port || (isSecure ? 443 : 80),
      path: url.pathname + url.search,
      servername: isIP(url.hostname) ? undefined : url.hostname,
      // Replaces the resolver, so that the connection goes to the checked address.
      lookup: (_host, _options, done) => done(null, [{ address, family: isIP(address) }]),
      agent: false,
      signal,
      ...(options.outbound.ca ? { ca: options.outbound.ca } : {}),
      headers: {
        Accept: 'application/json',
        'User-Agent': 'mcp-oauth-server',
        ...headers,
        'Accept-Encoding': 'identity',
        ...(body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }),
      },
    },
    response => readAnswer(response, options.maxBytes, check).then(resolve, reject),
  )
  sent.on('socket', socket => socket.once(isSecure ? 'secureConnect' : 'connect', () => (connected = true)))
  sent.on('error', error => {
    const words = `cannot be reached (${(error as { code?: string }).code ?? error.name})`
    // What changes something may have arrived: it is not sent to another address.
    reject(connected && method !== 'GET' ? new SafeFetchError(words) : new UnreachableError(words))
  })
  sent.end(body)
  return promise
}

async function readAnswer(response: IncomingMessage, maxBytes: number, check: Check): Promise<Answer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    check(response)
    if (!['', 'identity'].includes(response.headers['content-encoding'] ?? ''))
      throw new SafeFetchError('is compressed')
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > maxBytes) throw new SafeFetchError(`is larger than ${maxBytes} bytes`)
      chunks.push(chunk)
    }
  } catch (error) {
    response.destroy()
    throw error instanceof SafeFetchError ? error : new SafeFetchError('was cut off')
  }
  const headers = Object.entries(response.headers).map(([name, value]) => [name, [value].flat().join(', ')])
  return {
    status: response.statusCode ?? 0,
    headers: Object.fromEntries(headers),
    body: Buffer.concat(chunks).toString('utf8'),
  }
}

/** Resolves a name once, and refuses it if any of its addresses is not allowed. */
async function vettedAddresses(host: string, outbound: Outbound): Promise<string[]> {
  let addresses: string[]
  try {
    addresses = isIP(host) ? [host] : await outbound.resolve(host)
  } catch {
    throw new SafeFetchError('has a host name that does not resolve', NO_ADDRESS)
  }
  if (addresses.length === 0 || !addresses.every(outbound.isAllowed))
    throw new SafeFetchError('is not at a public address', NO_ADDRESS)
  return addresses.slice(0, MAX_ADDRESSES)
}

/** Maximum number of addresses to try per host. */
const MAX_ADDRESSES = 4

/** Networks of IANA's special-purpose registries (RFC 6890) and multicast, which are not public. */
const SPECIAL_IPV4 =
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3'
/** Exceptions within 2000::/3, the only global unicast range of IPv6; IPv4-mapped, NAT64, link-local and unique local lie outside. */
const SPECIAL_IPV6 = '2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20'

const refused = networkList([...SPECIAL_IPV4.split(' '), ...SPECIAL_IPV6.split(' ')])
const globalV6 = networkList(['2000::/3'])

/** Whether an address is on the public internet. */
export function isPublicUnicast(address: string): boolean {
  const family = isIP(address)
  return family !== 0 && (family === 4 || contains(globalV6, address)) && !contains(refused, address)
}
