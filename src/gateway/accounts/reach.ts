/**
 * Restricts the addresses of an upstream's OAuth servers: the public internet over https, the origins in the operator's
 * entry (its URL, and those in `auth`), and this machine if the upstream is on it, too.
 */
import { allowInsecureRequests, customFetch } from 'oauth4webapi'
import { isLoopbackHost } from '../../lib/networks.ts'
import { type Outbound, type SafeRequest, safeFetch } from '../../lib/safe-fetch.ts'
import type { UpstreamConfig } from '../config.ts'
import { isMetadataAddress } from '../metadata-addresses.ts'
import { USER_AGENT } from '../outbound.ts'

const TIMEOUT_MS = 10_000
/** Maximum size of a metadata document or token response. */
const MAX_BYTES = 256 * 1024

/** Sends a request to one of the upstream's servers. @throws SafeFetchError if there is no response. */
export type Reach = (url: string, request?: SafeRequest) => Promise<Response>

/** @param config Or, of an upstream that is not in the file any more, its address. */
export function openReach(outbound: Outbound, config: Pick<UpstreamConfig, 'transport' | 'auth'>): Reach {
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

/** Whether secrets and browsers may be sent there: https, or http on this machine if the upstream is on it, too. */
export function isReachable(config: UpstreamConfig, target: string): boolean {
  const url = URL.parse(target)
  if (!url || url.username || url.password) return false
  if (url.protocol === 'https:') return true
  return url.protocol === 'http:' && isLoopbackHost(url.hostname) && isLoopbackHost(new URL(urlOf(config)).hostname)
}

/** Options for functions of oauth4webapi. */
export function requestOptions(reach: Reach) {
  return {
    // Reach decides whether http is allowed.
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

/** The URL of an upstream with `auth`, which is always HTTP. */
export function urlOf({ transport }: Pick<UpstreamConfig, 'transport'>): string {
  if (transport.type !== 'http') throw new TypeError('an upstream with accounts must have a URL')
  return transport.url
}
