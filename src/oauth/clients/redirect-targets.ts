/** Describes redirect URIs for users, and decides whether errors are redirected without asking. */
import type { ClientRow } from '../../../sql/clients.ts'

/** Where the browser goes after this server. */
export interface Destination {
  /** For display: a host, this computer, or an app. */
  name: string
  /** Whether any local program could listen there and impersonate the client (RFC 8252 8.6). */
  local: boolean
}

export function describeRedirect(uri: string): Destination {
  const url = new URL(uri)
  if (url.protocol === 'https:') return { name: url.host, local: false }
  if (url.protocol === 'http:') return { name: 'this computer', local: true }
  return { name: `an app on this device (${url.protocol.slice(0, -1)})`, local: true }
}

/**
 * Whether errors are redirected there without asking the user (RFC 9700 4.11.2): for clients that the operator added, and
 * for clients with a verified host, to that host and to loopback. Anyone can register another host's address, or put it
 * into a document of their own.
 */
export function isTrustedRedirect(client: Pick<ClientRow, 'id' | 'source'>, uri: string): boolean {
  if (client.source === 'operator') return true
  if (client.source !== 'metadata') return false
  const url = new URL(uri)
  return url.protocol === 'http:' || url.origin === new URL(client.id).origin
}
