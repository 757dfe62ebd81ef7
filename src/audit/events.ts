/** The audit log: which events there are, and how one is recorded. `writer` stores them, `search` finds them again. */
import type { AuditWriter } from './writer.ts'

/** Every event that can be recorded, and what it means. */
export const AUDIT_EVENTS = {
  'user.signed_in': 'Somebody signed in',
  'user.signed_out': 'Somebody signed out',
  'user.refused': 'Somebody was not let in: by what the provider said, or with a link that does not work',
  'user.link_created': 'An operator made a one-time sign-in link',
  'user.signed_out_everywhere': 'Somebody ended all their sessions and connections',
  'user.disabled': 'An operator disabled a user',
  'user.enabled': 'An operator enabled a user again',
  'client.added': 'An operator added a client',
  'client.registered': 'A client registered itself',
  'client.updated': 'A client changed its registration',
  'client.secret_rotated': 'An operator gave a client a new secret',
  'client.removed': 'A client was removed, by an operator or by itself',
  'client.refused': 'A client gave wrong credentials',
  'device.requested': 'A device asked to be authorized',
  'device.wrong_code': 'Somebody entered a code that is not one',
  'device.approved': 'A user approved a device',
  'device.denied': 'A user denied a device',
  'device.fetched': 'A device fetched its tokens',
  'authorization.approved': 'A user let a client in',
  'authorization.exchanged': 'A client exchanged an authorization code',
  'authorization.replayed': 'An authorization code was used again: what it had given was revoked',
  'token.issued': 'A machine got an access token',
  'token.revoked': 'An access token was revoked',
  'refresh.rotated': 'A refresh token was exchanged',
  'refresh.retried': 'A refresh token was exchanged again within the grace time and got the same successor',
  'refresh.reused': 'A refresh token was used again too late: its grant was revoked',
  'grant.revoked': 'A connection was ended',
  'key.rotated': 'An operator rotated the signing keys',
  'tool.called': 'A tool was called',
} as const

export type AuditEventName = keyof typeof AUDIT_EVENTS

export interface AuditDetails {
  userId?: string | null
  clientId?: string | null
  grantId?: string | null
  ip?: string | null
  detail?: Record<string, string | number | boolean>
}

/** Records one event, now. */
export function record(
  deps: { audit: AuditWriter; now: () => Date },
  event: AuditEventName,
  details: AuditDetails = {},
): void {
  deps.audit.add({
    at: deps.now(),
    event,
    userId: details.userId ?? null,
    clientId: details.clientId ?? null,
    grantId: details.grantId ?? null,
    ip: details.ip ?? null,
    detail: details.detail ?? {},
  })
}
