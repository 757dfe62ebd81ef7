/** The audit log: its events, and how to record one. `writer` stores them, `notices` tells the operator, `search` finds them, `retention` deletes them. */
import { networkOf } from '../lib/networks.ts'
import { isWithinLimit, LIMITS, type Limits } from '../limits.ts'
import type { AuditWriter } from './writer.ts'

/** Every event and its meaning. */
export const AUDIT_EVENTS = {
  'user.signed_in': 'Somebody signed in',
  'user.signed_out': 'Somebody signed out',
  'user.refused':
    'A sign-in was refused: by the provider, because the user is not allowed, or because of an invalid link',
  'user.link_created': 'An operator created a one-time sign-in link',
  'user.signed_out_everywhere': 'Somebody ended all their sessions and connections',
  'user.invited': 'An operator let somebody sign in with an address',
  'user.promoted': 'An operator made somebody an administrator',
  'user.demoted': 'An operator removed an administrator’s rights',
  'user.disabled': 'An operator disabled a user',
  'user.enabled': 'An operator enabled a user again',
  'user.removed': 'A user was removed, by an operator or by themself',
  'passkey.added': 'Somebody added a passkey',
  'passkey.removed': 'Somebody removed a passkey',
  'client.added': 'An operator added a client',
  'client.registered': 'A client registered itself',
  'client.updated': 'A client changed its registration',
  'client.secret_rotated': 'An operator gave a client a new secret',
  'client.removed': 'A client was removed, by an operator or by itself',
  'client.refused': 'A client sent wrong credentials',
  'client.unauthorized': 'A client used a grant type that it is not registered for',
  'registration.refused': 'A registration, or access to one, was refused',
  'device.requested': 'A device requested authorization',
  'device.wrong_code': 'Somebody entered an invalid user code',
  'device.approved': 'A user approved a device',
  'device.denied': 'A user denied a device',
  'device.poll_refused': 'A device code was refused: unknown, used or issued to another client',
  'device.fetched': 'A device fetched its tokens',
  'authorization.approved': 'A user gave a client access',
  'authorization.denied': 'A user denied a client access',
  'authorization.refused':
    'An authorization request was refused: unknown client, wrong redirect URI, no PKCE and other errors',
  'authorization.exchanged': 'A client exchanged an authorization code',
  'authorization.exchange_refused':
    'An authorization code was refused: unknown, issued to another client, or sent with a wrong verifier or redirect URI',
  'authorization.replayed': 'An authorization code was reused: its grant was revoked',
  'token.issued': 'A machine got an access token',
  'token.revoked': 'An access token was revoked',
  'personal_token.added': 'Somebody, or an operator for them, made a personal access token',
  'personal_token.revoked': 'A personal access token was revoked',
  'personal_token.refused': 'A personal access token was refused: unknown or revoked',
  'refresh.refused':
    'A refresh token was refused: unknown, ended, issued to another client, or used for a wider scope or another resource',
  'refresh.rotated': 'A refresh token was exchanged',
  'refresh.retried': 'A refresh token was exchanged again within the grace period and got the same successor',
  'refresh.stale':
    'A refresh token was reused late from its last known network and program, probably by a suspended process: it was refused, nothing was revoked',
  'refresh.reused': 'A refresh token was reused late from elsewhere: its grant was revoked',
  'grant.revoked': 'A connection was ended',
  'introspection.refused': 'A client tried to introspect a token that it may not',
  'revocation.refused': 'A client tried to revoke a token of another client',
  'form.refused': 'A form was refused: sent by another site, or without a valid CSRF token',
  'key.rotated': 'An operator rotated the signing keys',
  'tool.called': 'A tool was called',
  'upstream.called': 'A tool, prompt or resource of an upstream server was used',
  'upstream.linked': 'Somebody linked their account at an upstream server',
  'upstream.link_failed': 'Somebody tried to link an account at an upstream server, and nothing was linked',
  'upstream.link_refreshed': 'Tokens of a linked account were renewed',
  'upstream.refresh_failed': 'Tokens of a linked account could not be renewed',
  'upstream.link_ended': 'An upstream server does not take the tokens of a linked account any more',
  'upstream.unlinked': 'A linked account was forgotten, by its person or with them or the server',
  'upstream.reloaded': 'The file of upstream servers was reloaded',
  'upstream.reload_failed': 'The file of upstream servers is invalid; the old configuration stays in place',
  'upstream.down': 'An upstream server failed to start or to answer five times in a row, so its calls fail at once',
  'upstream.tools_changed': 'An upstream server changed the description, schema or annotations of tools',
  'upstream.restarted': 'An operator restarted an upstream server',
  'upstream.trusted': 'An operator accepted changed tools of an upstream server',
} as const

export type AuditEventName = keyof typeof AUDIT_EVENTS

export interface AuditDetails {
  userId?: string | null
  clientId?: string | null
  grantId?: string | null
  ip?: string | null
  detail?: Record<string, string | number | boolean>
}

/** Records an event. */
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

/** The same dependencies, with which every event that a service records says who acted. @param ip Where they are. */
export function actingAs<T extends { audit: AuditWriter }>(
  deps: T,
  actor: Record<string, string>,
  ip: string | null = null,
): T {
  const audit = Object.create(deps.audit, {
    add: {
      value: (event: Parameters<AuditWriter['add']>[0]) =>
        deps.audit.add({ ...event, ip: event.ip ?? ip, detail: { ...event.detail, ...actor } }),
    },
  })
  return { ...deps, audit }
}

/** How long repetitions of an event are only counted, and for how many different events that is tracked. */
const REPEAT_MS = 10 * 60_000
const MAX_REMEMBERED = 10_000

/** Recently recorded events, with their time (ms) and the number of repetitions since. */
const recorded = new WeakMap<AuditWriter, Map<string, { at: number; repeats: number }>>()

/**
 * Records an event that can be repeated at no cost: the first time, and then every ten minutes with the number of
 * repetitions in `repeats`. Different events of unauthenticated requests are recorded up to a limit per network.
 *
 * @param what Distinguishes events that have the same client, user, grant and network; must have few values.
 */
export function recordRepeatable(
  deps: { audit: AuditWriter; limits: Limits; now: () => Date },
  event: AuditEventName,
  details: AuditDetails,
  what = '',
): void {
  let events = recorded.get(deps.audit)
  if (!events) {
    events = new Map()
    recorded.set(deps.audit, events)
  }
  const { clientId, userId, grantId, ip } = details
  const network = networkOf(ip ?? null)
  const key = JSON.stringify([event, clientId, userId, grantId, grantId ? '' : network, what])
  const known = events.get(key)
  const now = deps.now().getTime()
  if (known && now - known.at < REPEAT_MS) {
    known.repeats += 1
    deps.audit.count(event)
    return
  }
  if (!userId && !isWithinLimit(deps.limits, deps.now(), LIMITS.strangers, network)) return
  events.delete(key)
  if (events.size >= MAX_REMEMBERED) events.delete(events.keys().next().value!) // the oldest one
  events.set(key, { at: now, repeats: 0 })
  const repeats = known?.repeats ?? 0
  record(deps, event, repeats > 0 ? { ...details, detail: { ...details.detail, repeats } } : details)
}
