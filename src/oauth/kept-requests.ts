/**
 * Authorization requests that wait for the user. The parameters stay on the server while the user signs in and decides, so
 * they may be long, appear in no URL, and are decided only once.
 */
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { findAuthorizationCodes } from '../../sql/authorization-codes.ts'
import {
  decideAuthorizationRequest,
  findAuthorizationRequest,
  insertAuthorizationRequest,
} from '../../sql/authorization-requests.ts'
import { findClient } from '../../sql/clients.ts'
import { record } from '../audit/events.ts'
import { inTransaction } from '../db/index.ts'
import { parseParams, type Repeated } from '../http/params.ts'
import type { Viewer } from '../http/session.ts'
import { hashSecret, hmac, SECRET_KINDS, sameBytes, seal, unseal } from '../lib/crypto.ts'
import { AppError } from '../lib/errors.ts'
import { networkOf } from '../lib/networks.ts'
import { LIMITS, takeHit } from '../limits.ts'
import type { Asked, AuthorizationRequest } from './authorization-request.ts'
import { clientLabel } from './clients/names.ts'
import { issueAuthorizationCode, rememberConsent } from './consents.ts'
import type { OAuthDeps } from './deps.ts'

/** Long enough to get a new sign-in link from the operator. */
const KEEP_MS = 30 * 60_000
/** About what fits into a URL that servers and proxies accept. */
const MAX_CHARACTERS = 16_384

export interface KeptRequest extends Asked {
  id: string
  createdAt: Date
  decided: boolean
}

/**
 * Stores a request for {@link KEEP_MS}.
 *
 * @param viewer The signed-in user, who has a limit of their own; others share that of their network.
 * @throws AppError if it is too long, OAuthError `slow_down` (429) if there are too many.
 */
export async function keepRequest(
  deps: OAuthDeps,
  { params, repeated }: Asked,
  { viewer, ip }: { viewer: Viewer | undefined; ip: string | null },
): Promise<KeptRequest> {
  const encoded = new URLSearchParams([...Object.entries(params), ...repeated]).toString()
  if (encoded.length > MAX_CHARACTERS)
    throw new AppError(
      'This app’s request is too long',
      `It must have at most ${MAX_CHARACTERS} characters. Contact the developers of the app.`,
    )
  const now = deps.now()
  takeHit(deps.limits, now, LIMITS.authorizations, viewer ? `user ${viewer.userId}` : networkOf(ip))
  const id = randomUUID()
  await insertAuthorizationRequest(deps.sql, {
    id,
    parameters: seal(deps.secrets.authorizationRequests, encoded),
    now,
    expiresAt: new Date(now.getTime() + KEEP_MS),
  })
  return { id, params, repeated, createdAt: now, decided: false }
}

/** @throws AppError 404 if the request does not exist or has expired. */
export async function findKept(deps: OAuthDeps, id: string): Promise<KeptRequest> {
  const row = z.uuid().safeParse(id).success ? await findAuthorizationRequest(deps.sql, id, deps.now()) : undefined
  if (!row)
    throw new AppError(
      'This request has expired',
      'Go back to the app and connect again. A request is valid for half an hour.',
      { status: 404 },
    )
  const repeated: Repeated = []
  const params = parseParams(unseal(deps.secrets.authorizationRequests, row.parameters), { repeated })
  return { id, params, repeated, createdAt: row.created_at, decided: row.decision !== null }
}

/** The app that made a kept request, as it is known already. */
export async function findWaitingApp(deps: OAuthDeps, request: string) {
  const kept = await findKept(deps, request).catch(() => undefined)
  const client = kept?.params.client_id ? await findClient(deps.sql, kept.params.client_id) : undefined
  return client && clientLabel(client)
}

/**
 * Decides a request once. If the same session submits the same form again (a double click), it gets the same answer until
 * the client has used it.
 *
 * @returns the code for the client; undefined if the request was denied.
 * @throws AppError 409 if it was decided otherwise, or the code was used or has expired.
 */
export async function decideOnce(
  deps: OAuthDeps,
  viewer: Viewer,
  {
    id,
    decision,
    request,
    ip,
  }: {
    id: string
    decision: 'approved' | 'denied'
    request: AuthorizationRequest
    ip: string | null
  },
): Promise<string | undefined> {
  const code = codeOf(deps, id)
  const now = deps.now()
  const first = await inTransaction(deps, async sql => {
    const inside = { ...deps, sql }
    if (!(await decideAuthorizationRequest(sql, { id, decision, sessionHash: viewer.sessionHash, now }))) return false
    if (decision === 'approved') {
      await rememberConsent(inside, viewer, request)
      await issueAuthorizationCode(inside, viewer, request, ip, code)
    }
    return true
  })
  if (first && decision === 'denied')
    record(deps, 'authorization.denied', { userId: viewer.userId, clientId: request.client.id, ip })
  if (!first && !(await isRepeatable(deps, viewer, id, decision, hashSecret(code), request.client.id)))
    throw alreadyDecided()
  return decision === 'approved' ? code : undefined
}

async function isRepeatable(
  deps: OAuthDeps,
  viewer: Viewer,
  id: string,
  decision: 'approved' | 'denied',
  codeHash: Buffer,
  clientId: string,
): Promise<boolean> {
  const before = await findAuthorizationRequest(deps.sql, id, deps.now())
  if (before?.decision !== decision || !sameBytes(before.session_hash!, viewer.sessionHash)) return false
  if (decision === 'denied') return true
  const [code] = await findAuthorizationCodes(deps.sql, [codeHash])
  return code?.client_id === clientId && code.consumed_at === null && code.expires_at > deps.now()
}

/** The code of a decision: derived, not random, so that submitting the form again yields the same code. */
function codeOf(deps: OAuthDeps, id: string): string {
  return `${SECRET_KINDS.authorizationCode}_${hmac(deps.secrets.authorizationCodes, id).toString('base64url')}`
}

/** Shown to a user who returns to a decided request. */
export function alreadyDecided(): AppError {
  return new AppError(
    'You have already answered this request',
    'Go back to the app. If it is still waiting, connect again from there.',
    { status: 409 },
  )
}
