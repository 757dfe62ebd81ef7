/** Where a redirect URI leads: in words for a person, and whether a browser is sent there without asking. */
import type { ClientRow } from '../../../sql/clients.ts'

/** A place that a browser goes to after this server. */
export interface Destination {
  /** As a person would say it: a host, this computer, or an app. */
  name: string
  /** Whether any program on this computer can wait there and pose as the client (RFC 8252 8.6). */
  local: boolean
}

export function describeRedirect(uri: string): Destination {
  const url = new URL(uri)
  if (url.protocol === 'https:') return { name: url.host, local: false }
  if (url.protocol === 'http:') return { name: 'this computer', local: true }
  return { name: `an app on this device (${url.protocol.slice(0, -1)})`, local: true }
}

/**
 * Whether this server redirects there by itself, in answer to a request with an error (RFC 9700 4.11.2): for clients that
 * the operator added, and for those whose host is verified, on that host and on this computer. Anybody can register
 * the address of another host, and describe it in a document of their own.
 */
export function isTrustedRedirect(client: Pick<ClientRow, 'id' | 'source'>, uri: string): boolean {
  if (client.source === 'operator') return true
  if (client.source !== 'metadata') return false
  const url = new URL(uri)
  return url.protocol === 'http:' || url.origin === new URL(client.id).origin
}
