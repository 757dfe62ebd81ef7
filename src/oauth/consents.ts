/** Remembered consent, and the authorization codes issued after consent. */
import { insertAuthorizationCode } from '../../sql/authorization-codes.ts'
import {
  type ConsentKey,
  findConsent,
  type IdleConsent,
  listIdleConsents as queryIdleConsents,
  upsertConsent,
} from '../../sql/consents.ts'
import { record } from '../audit/events.ts'
import type { Viewer } from '../http/session.ts'
import { hashSecret, newSecret } from '../lib/crypto.ts'
import { AppError } from '../lib/errors.ts'
import type { AuthorizationRequest } from './authorization-request.ts'
import type { OAuthDeps } from './deps.ts'
import { allows, withoutAdmin } from './scopes.ts'

const CODE_SECONDS = 60

/** The part of the requested scope that this user can grant: only administrators can grant `admin`. */
export function grantableBy(viewer: Viewer, scope: string[]): string[] {
  return viewer.isAdmin ? scope : withoutAdmin(scope)
}

/**
 * Whether the consent page can be skipped. Only for a client that the operator added and that has an https redirect URI:
 * anyone can register a name, and any local program can listen on loopback or claim a private scheme.
 */
export async function isConsentRemembered(
  deps: OAuthDeps,
  viewer: Viewer,
  request: AuthorizationRequest,
): Promise<boolean> {
  if (!isRememberable(request) || request.scope.length === 0) return false
  const given = await findConsent(deps.sql, consentKey(viewer, request))
  return request.scope.every(scope => allows(given, scope))
}

export async function rememberConsent(deps: OAuthDeps, viewer: Viewer, request: AuthorizationRequest): Promise<void> {
  if (!isRememberable(request) || request.scope.length === 0) return
  await upsertConsent(deps.sql, {
    ...consentKey(viewer, request),
    sessionHash: viewer.sessionHash,
    scope: request.scope,
    now: deps.now(),
  })
}

/** Remembered consents without a connection: apps that can connect without asking the user. */
export function listIdleConsents(deps: OAuthDeps, userId: string, limit?: number): Promise<IdleConsent[]> {
  return queryIdleConsents(deps.sql, { userId, now: deps.now(), limit })
}

/**
 * Issues an authorization code, valid once and for a minute.
 *
 * @throws AppError if the session or the remembered consent has just ended.
 */
export async function issueAuthorizationCode(
  deps: OAuthDeps,
  viewer: Viewer,
  request: AuthorizationRequest,
  ip: string | null,
  code = newSecret('authorizationCode'),
): Promise<string> {
  const createdAt = deps.now()
  const stored = await insertAuthorizationCode(deps.sql, {
    codeHash: hashSecret(code),
    clientId: request.client.id,
    sessionHash: viewer.sessionHash,
    consentHost: isRememberable(request) ? redirectHost(request) : null,
    redirectUri: request.redirectUri,
    scope: request.scope,
    resource: request.resource,
    codeChallenge: request.codeChallenge,
    createdAt,
    expiresAt: new Date(createdAt.getTime() + CODE_SECONDS * 1000),
  })
  if (!stored)
    throw new AppError('This app was not connected', 'You have just signed out or disconnected it. Connect it again.', {
      status: 403,
      detail: 'the session or the consent has ended',
    })
  record(deps, 'authorization.approved', {
    userId: viewer.userId,
    clientId: request.client.id,
    ip,
    detail: { scope: request.scope.join(' ') },
  })
  return code
}

function isRememberable({ client, redirectUri }: AuthorizationRequest): boolean {
  return client.source === 'operator' && redirectUri.startsWith('https:')
}

function consentKey(viewer: Viewer, request: AuthorizationRequest): ConsentKey {
  return {
    userId: viewer.userId,
    clientId: request.client.id,
    redirectHost: redirectHost(request),
    resource: request.resource,
  }
}

function redirectHost({ redirectUri }: AuthorizationRequest): string {
  return new URL(redirectUri).host
}
