/**
 * How far the OAuth servers of an upstream may be: on the public internet over https, where the operator's own entry leads
 * (its origin, and what `auth` names), and on this machine if the entry is there, too.
 */
import { allowInsecureRequests, customFetch } from 'oauth4webapi'
import { isLoopbackHost } from '../../lib/networks.ts'
import { type Outbound, type SafeRequest, safeFetch } from '../../lib/safe-fetch.ts'
import type { UpstreamConfig } from '../config.ts'
import { isMetadataAddress } from '../metadata-addresses.ts'
import { USER_AGENT } from '../outbound.ts'

const TIMEOUT_MS = 10_000
/** Of a document or a token answer. */
const MAX_BYTES = 256 * 1024

/** What is asked of one upstream's servers. @throws SafeFetchError if there is no answer. */
export type Reach = (url: string, request?: SafeRequest) => Promise<Response>

export function openReach(outbound: Outbound, config: UpstreamConfig): Reach {
  const url = urlOf(config)
  const { issuer, authorizationEndpoint, tokenEndpoint, revocationEndpoint } = config.auth ?? {}
  const named = [url, issuer, authorizationEndpoint, tokenEndpoint, revocationEndpoint]
  const origins = new Set(named.flatMap(text => (text === undefined ? [] : [new URL(text).origin])))
  const isHere = isLoopbackHost(new URL(url).hostname)
  return (target, { headers, ...request } = {}) => {
    const parsed = URL.parse(target)
    const isNamed = parsed !== null && origins.has(parsed.origin)
    const allowHttp = parsed !== null && isLoopbackHost(parsed.hostname) && isHere
    const isAllowed = isNamed || allowHttp ? (address: string) => !isMetadataAddress(address) : outbound.isAllowed
    return safeFetch(
      target,
      { ...request, headers: { ...headers, 'User-Agent': USER_AGENT } },
      { outbound: { ...outbound, isAllowed }, timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES, allowHttp },
    )
  }
}

/** Whether a browser may be sent there, and secrets. */
export function isReachable(config: UpstreamConfig, target: string): boolean {
  const url = URL.parse(target)
  if (!url || url.username || url.password) return false
  if (url.protocol === 'https:') return true
  return url.protocol === 'http:' && isLoopbackHost(url.hostname) && isLoopbackHost(new URL(urlOf(config)).hostname)
}

/** For functions of oauth4webapi: it may use http where {@link Reach} lets it. */
export function requestOptions(reach: Reach) {
  return {
    // It is Reach that decides.
    [allowInsecureRequests]: true,
    [customFetch]: (
      url: string,
      { method, headers, body }: { method: string; headers: Record<string, string>; body?: unknown },
    ) =>
      reach(url, {
        method: method as 'GET' | 'POST',
        headers,
        ...(body === undefined || body === null ? {} : { body: String(body) }),
      }),
  }
}

/** The address of an upstream that people have accounts at: those are HTTP, always. */
export function urlOf({ transport }: UpstreamConfig): string {
  if (transport.type !== 'http') throw new TypeError('an upstream with accounts has a URL')
  return transport.url
}
