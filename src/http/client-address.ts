import { type BlockList, isIP } from 'node:net'
import type { Server } from 'bun'
import type { Config } from '../config.ts'
import type { Log } from '../lib/log.ts'
import { contains, networkList } from '../lib/networks.ts'

/** What a handler needs of Elysia's context to know whom it talks to. */
export interface Handled {
  request: Request
  server: Server<unknown> | null
}

/**
 * The address a request came from. Forwarding headers count only as far as TRUSTED_PROXIES vouches for who wrote them:
 * the right-most address of X-Forwarded-For that is not a trusted proxy.
 *
 * @returns nothing where the socket is gone already.
 */
export function clientAddress(
  deps: { config: Config; log: Log },
  request: Request,
  server: Server<unknown> | null,
): string | null {
  const peer = normalized(server?.requestIP(request)?.address)
  const trusted = trustedBy(deps.config)
  if (peer === null) return peer
  if (!contains(trusted, peer)) {
    if (request.headers.has('x-forwarded-for')) warnOnce(deps, peer)
    return peer
  }
  const forwarded = (request.headers.get('x-forwarded-for') ?? '').split(',').map(item => normalized(item.trim()))
  for (const address of forwarded.reverse()) {
    if (address === null) return peer
    if (!contains(trusted, address)) return address
  }
  return peer
}

/** Whether a request came straight from a trusted proxy. */
export function isTrustedPeer(config: Config, request: Request, server: Server<unknown> | null): boolean {
  const peer = normalized(server?.requestIP(request)?.address)
  return peer !== null && contains(trustedBy(config), peer)
}

function normalized(address: string | undefined): string | null {
  const plain = address?.replace(/^::ffff:(?=\d+\.)/i, '').toLowerCase()
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

/** Behind a proxy that is not trusted everybody has its address, and shares what one network may do. */
function warnOnce({ config, log }: { config: Config; log: Log }, peer: string): void {
  if (warned.has(config)) return
  warned.add(config)
  log.warn(
    { peer },
    'X-Forwarded-For came from a peer that TRUSTED_PROXIES does not name: if that is your proxy, add it',
  )
}

/** What to do before others use the server, for the list at the start; nothing if proxies are named or none is likely. */
export function proxyAdvice(config: Config): string | undefined {
  if (config.TRUSTED_PROXIES.length > 0 || !config.BASE_URL.startsWith('https:')) return undefined
  return 'TRUSTED_PROXIES: the address or network of your TLS proxy; without it everybody shares the limits of one address'
}
