import { type BlockList, isIP } from 'node:net'
import type { Server } from 'bun'
import type { Config } from '../config.ts'
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
  deps: { config: Config },
  request: Request,
  server: Server<unknown> | null,
): string | null {
  const peer = normalized(server?.requestIP(request)?.address)
  const trusted = trustedBy(deps.config)
  if (peer === null || !contains(trusted, peer)) return peer
  const forwarded = (request.headers.get('x-forwarded-for') ?? '').split(',').map(item => normalized(item.trim()))
  for (const address of forwarded.reverse()) {
    if (address === null) return peer
    if (!contains(trusted, address)) return address
  }
  return peer
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
