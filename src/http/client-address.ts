import { BlockList, isIP } from 'node:net'
import type { Server } from 'bun'
import type { Config } from '../config.ts'

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
  if (peer === null || !isTrusted(trusted, peer)) return peer
  const forwarded = (request.headers.get('x-forwarded-for') ?? '').split(',').map(item => normalized(item.trim()))
  for (const address of forwarded.reverse()) {
    if (address === null) return peer
    if (!isTrusted(trusted, address)) return address
  }
  return peer
}

/** The network that counts as one guesser: an IPv4 address, or the /64 of an IPv6 one. */
export function networkOf(address: string | null): string {
  if (address === null || isIP(address) !== 6) return address ?? 'unknown'
  const [head = '', tail] = address.split('::')
  const left = head.split(':').filter(Boolean)
  const right = (tail ?? '').split(':').filter(Boolean)
  const groups = tail === undefined ? left : [...left, ...Array(8 - left.length - right.length).fill('0'), ...right]
  return `${groups
    .slice(0, 4)
    .map(group => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}

function normalized(address: string | undefined): string | null {
  const plain = address?.replace(/^::ffff:(?=\d+\.)/i, '').toLowerCase()
  return plain && isIP(plain) ? plain : null
}

const lists = new WeakMap<Config, BlockList>()

function trustedBy(config: Config): BlockList {
  let list = lists.get(config)
  if (!list) {
    list = new BlockList()
    for (const network of config.TRUSTED_PROXIES) {
      const [address, bits] = network.split('/') as [string, string | undefined]
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
      list.addSubnet(address, Number(bits ?? (family === 'ipv6' ? 128 : 32)), family)
    }
    lists.set(config, list)
  }
  return list
}

function isTrusted(list: BlockList, address: string): boolean {
  return list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}
