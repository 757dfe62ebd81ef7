/**
 * Fetches URLs that strangers gave us (client id metadata documents, key sets): https only, to public addresses only, to
 * the very address that was checked, with the right server name, without redirects, in bounded time and size.
 * Bun's fetch cannot pin an address; `node:https` with a `lookup` of our own can (a test counts the connections).
 */
import { lookup } from 'node:dns/promises'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
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

/** GETs a JSON document. @throws SafeFetchError whatever goes wrong. */
export async function safeFetchJson(url: string, options: SafeFetchOptions): Promise<SafeResponse> {
  const target = URL.parse(url)
  if (target?.protocol !== 'https:' || target.username || target.password)
    throw new SafeFetchError('is not at an https URL')
  const signal = AbortSignal.timeout(options.timeoutMs)
  // Nothing may be thrown between here and the race: nobody would be there for the rejection when the time is over.
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () =>
      reject(new SafeFetchError(`did not arrive within ${options.timeoutMs / 1000} seconds`)),
    )
  })
  return Promise.race([exchange(target, options, signal), late])
}

/** Tries the vetted addresses in turn; each but the last may take its share of the time to begin its answer. */
async function exchange(url: URL, options: SafeFetchOptions, signal: AbortSignal): Promise<SafeResponse> {
  const addresses = await vettedAddresses(url.hostname.replace(/^\[|\]$/g, ''), options.outbound)
  for (const address of addresses.slice(0, -1)) {
    const share = AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMs / addresses.length)])
    try {
      return await ask(url, address, options, share)
    } catch (error) {
      if (!(error instanceof UnreachableError)) throw error
    }
  }
  return ask(url, addresses.at(-1)!, options, signal)
}

/** There was no answer at this address; another one may have it. */
class UnreachableError extends SafeFetchError {}

/** One request to one address. */
function ask(
  url: URL,
  address: string,
  { outbound, maxBytes }: SafeFetchOptions,
  signal: AbortSignal,
): Promise<SafeResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<SafeResponse>()
  const sent = request(
    {
      host: url.hostname,
      port: url.port || 443,
      path: url.pathname + url.search,
      servername: isIP(url.hostname) ? undefined : url.hostname,
      // Asked instead of the resolver: the connection goes where the check looked.
      lookup: (_host, _options, done) => done(null, [{ address, family: isIP(address) }]),
      agent: false,
      signal,
      ...(outbound.ca ? { ca: outbound.ca } : {}),
      headers: { Accept: 'application/json', 'Accept-Encoding': 'identity', 'User-Agent': 'mcp-oauth-server' },
    },
    response => readAnswer(response, maxBytes).then(resolve, reject),
  )
  sent.on('error', error =>
    reject(new UnreachableError(`cannot be reached (${(error as { code?: string }).code ?? error.name})`)),
  )
  sent.end()
  return promise
}

async function readAnswer(response: IncomingMessage, maxBytes: number): Promise<SafeResponse> {
  const refuse = (message: string): never => {
    response.destroy()
    throw new SafeFetchError(message)
  }
  if (response.statusCode !== 200) refuse(`is answered with status ${response.statusCode}`)
  if (!/^application\/([a-z0-9.+-]+\+)?json\b/i.test(response.headers['content-type'] ?? '')) refuse('is not JSON')
  if (!['', 'identity'].includes(response.headers['content-encoding'] ?? '')) refuse('is encoded')
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > maxBytes) refuse(`has more than ${maxBytes} bytes`)
      chunks.push(chunk)
    }
    const json = parseJson(Buffer.concat(chunks).toString('utf8'))
    return { json, cacheControl: response.headers['cache-control'] ?? '' }
  } catch (error) {
    if (error instanceof SafeFetchError) throw error
    throw new SafeFetchError(error instanceof JsonError ? error.message : 'broke off half way')
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
