/**
 * Fetches URLs that strangers gave us (client id metadata documents, key sets): https only, to public addresses only, to
 * the very address that was checked, with the right server name, without redirects, in bounded time and size.
 * Bun's fetch cannot pin an address; `node:https` with a `lookup` of our own can (a test counts the connections).
 */
import { lookup } from 'node:dns/promises'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import { JsonError, parseJson } from './json.ts'
import { contains, networkList } from './networks.ts'

/** How names resolve and which addresses are allowed; tests put their own in. */
export interface Outbound {
  resolve(host: string): Promise<string[]>
  isAllowed(address: string): boolean
  /** Certificate authorities besides the usual ones, PEM. */
  ca?: string
}

export const publicInternet: Outbound = {
  resolve: async host => (await lookup(host, { all: true })).map(({ address }) => address),
  isAllowed: isPublicUnicast,
}

export interface SafeFetchOptions {
  outbound: Outbound
  /** For the whole exchange, resolution included, in milliseconds. */
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
 * Why a document could not be had, in words that follow "the document".
 *
 * @param detail For the operator's log.
 * @param reason For whoever asked; less than the detail where that would tell of the network that this server is in.
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

/** One for a name that does not resolve and for one that resolves to our own network: strangers must not map that. */
const NO_ADDRESS = 'has a host name for which this server finds no public address'

/** Looks at the head of an answer before its body is read. @throws SafeFetchError to refuse it. */
type Check = (response: IncomingMessage) => void

/** GETs a JSON document. @throws SafeFetchError whatever goes wrong. */
export async function safeFetchJson(url: string, options: SafeFetchOptions): Promise<SafeResponse> {
  const { headers, body } = await send(url, {}, options, response => {
    if (response.statusCode !== 200) throw new SafeFetchError(`is answered with status ${response.statusCode}`)
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
  // Nothing may be thrown between here and the race: nobody would be there for the rejection when the time is over.
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

/** Tries the vetted addresses in turn; each but the last may take its share of the time to begin its answer. */
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

/** There was no answer at this address; another one may have it. */
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
      // Asked instead of the resolver: the connection goes where the check looked.
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
    if (!['', 'identity'].includes(response.headers['content-encoding'] ?? '')) throw new SafeFetchError('is encoded')
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > maxBytes) throw new SafeFetchError(`has more than ${maxBytes} bytes`)
      chunks.push(chunk)
    }
  } catch (error) {
    response.destroy()
    throw error instanceof SafeFetchError ? error : new SafeFetchError('broke off half way')
  }
  const headers = Object.entries(response.headers).map(([name, value]) => [name, [value].flat().join(', ')])
  return {
    status: response.statusCode ?? 0,
    headers: Object.fromEntries(headers),
    body: Buffer.concat(chunks).toString('utf8'),
  }
}

/** Resolves once; a name with any address that is not allowed is refused, so that a second answer cannot slip through. */
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

/** Of a host; each gets a share of the time. */
const MAX_ADDRESSES = 4

/** Networks of IANA's special-purpose registries (RFC 6890) and multicast: nothing there is the public internet. */
const SPECIAL_IPV4 =
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3'
/** Of IPv6 only 2000::/3 is global unicast, less these; IPv4-mapped, NAT64, link-local and unique local lie outside. */
const SPECIAL_IPV6 = '2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20'

const refused = networkList([...SPECIAL_IPV4.split(' '), ...SPECIAL_IPV6.split(' ')])
const globalV6 = networkList(['2000::/3'])

/** Whether an address is on the public internet, where our own services are not. */
export function isPublicUnicast(address: string): boolean {
  const family = isIP(address)
  return family !== 0 && (family === 4 || contains(globalV6, address)) && !contains(refused, address)
}
