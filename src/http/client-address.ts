import { type BlockList, isIP } from 'node:net'
import type { Server } from 'bun'
import type { Config } from '../config.ts'
import type { Log } from '../lib/log.ts'
import { contains, networkList } from '../lib/networks.ts'

/** The part of Elysia's context that identifies the client. */
export interface Handled {
  request: Request
  server: Server<unknown> | null
}

/** Asked for more than once, and costly to find out. */
const addresses = new WeakMap<Request, string | null>()

/**
 * The client's address: the peer or, behind trusted proxies (TRUSTED_PROXIES), the right-most address in X-Forwarded-For
 * that is not a trusted proxy.
 *
 * @returns null if the socket is already closed.
 */
export function clientAddress(
  deps: { config: Config; log: Log },
  request: Request,
  server: Server<unknown> | null,
): string | null {
  let address = addresses.get(request)
  if (address === undefined) {
    address = findAddress(deps, request, server)
    addresses.set(request, address)
  }
  return address
}

function findAddress(
  deps: { config: Config; log: Log },
  request: Request,
  server: Server<unknown> | null,
): string | null {
  const peer = normalized(server?.requestIP(request)?.address)
  if (peer === null) return peer
  const forwarded = request.headers.get('x-forwarded-for')
  if (forwarded === null) return peer
  const trusted = trustedBy(deps.config)
  if (deps.config.TRUSTED_PROXIES.length === 0 || !contains(trusted, peer)) {
    warnOnce(deps, peer)
    return peer
  }
  const hops = forwarded.split(',').map(item => normalized(item.trim()))
  for (const address of hops.reverse()) {
    if (address === null) return peer
    if (!contains(trusted, address)) return address
  }
  return peer
}

/** Whether a request came straight from a trusted proxy. */
export function isTrustedPeer(config: Config, request: Request, server: Server<unknown> | null): boolean {
  if (config.TRUSTED_PROXIES.length === 0) return false
  const peer = normalized(server?.requestIP(request)?.address)
  return peer !== null && contains(trustedBy(config), peer)
}

/** How `X-Forwarded-For` is treated: absent, ignored because its sender is not in TRUSTED_PROXIES, or used. */
export function forwardingOf(
  config: Config,
  request: Request,
  server: Server<unknown> | null,
): 'none' | 'ignored' | 'used' {
  if (!request.headers.has('x-forwarded-for')) return 'none'
  return isTrustedPeer(config, request, server) ? 'used' : 'ignored'
}

function normalized(address: string | undefined): string | null {
  const plain = address?.toLowerCase().replace(/^::ffff:(?=\d+\.)/, '')
  return plain && isIP(plain) ? plain : null
}

const lists = new WeakMap<Config, BlockList>()

function trustedBy(config: Config): BlockList {
  let list = lists.get(config)
  if (!list) {
    list = networkList(config.TRUSTED_PROXIES)
    lists.set(config, list)
  }
  return list
}

const warned = new WeakSet<Config>()

/** Behind an untrusted proxy all clients appear to have its address, and share one set of rate limits. */
function warnOnce({ config, log }: { config: Config; log: Log }, peer: string): void {
  if (warned.has(config)) return
  warned.add(config)
  log.warn({ peer }, 'received X-Forwarded-For from a peer that is not in TRUSTED_PROXIES; if it is your proxy, add it')
}
