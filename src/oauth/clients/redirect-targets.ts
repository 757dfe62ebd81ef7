/** Describes redirect URIs for users, and decides whether errors are redirected without asking. */
import type { ClientRow } from '../../../sql/clients.ts'
import type { Destination } from '../../../views/consent.tsx'

/** Any local program could listen on this computer or claim a scheme, and impersonate the client (RFC 8252 8.6). */
export function describeRedirect(uri: string): Destination {
  const url = new URL(uri)
  if (url.protocol === 'https:') return { kind: 'host', host: url.host }
  return url.protocol === 'http:' ? { kind: 'computer' } : { kind: 'app', scheme: url.protocol.slice(0, -1) }
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
