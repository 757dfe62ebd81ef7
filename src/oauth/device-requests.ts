/** Device authorization requests (RFC 8628) up to the user's decision, and limits on guessing user codes. Polling is in `grants/device-code.ts`. */

import { randomUUID } from 'node:crypto'
import type { ClientRow } from '../../sql/clients.ts'
import {
  claimDeviceCode,
  type DeviceRequest,
  decideDeviceCode,
  findDeviceRequest,
  insertDeviceCode,
} from '../../sql/device-codes.ts'
import { countFailure, deleteEmptyThrottles, lockThrottles, type Throttle } from '../../sql/throttles.ts'
import { record, recordRepeatable } from '../audit/events.ts'
import { inTransaction } from '../db/index.ts'
import type { Viewer } from '../http/session.ts'
import { hashSecret, newSecret } from '../lib/crypto.ts'
import { OAuthError } from '../lib/errors.ts'
import { networkOf } from '../lib/networks.ts'
import { LIMITS, takeHit } from '../limits.ts'
import { grantableBy } from './consents.ts'
import type { OAuthDeps } from './deps.ts'
import { narrowScope, requestableScope } from './scopes.ts'
import { formatUserCode, newUserCode, parseUserCode } from './user-codes.ts'

/** Initial polling interval, in seconds. */
const INTERVAL = 5
/** Wrong codes allowed per session or user, and per network, within the window. */
const WRONG_CODES = 5
const WRONG_CODES_OF_NETWORK = 50
const WRONG_CODES_WINDOW_MS = 15 * 60_000

export interface DeviceAuthorizationResponse {
  device_code: string
  user_code: string
  verification_uri: string
  verification_uri_complete: string
  /** Seconds. */
  expires_in: number
  interval: number
}

/** Starts a device authorization (RFC 8628 3.1, 3.2). */
export async function requestDeviceAuthorization(
  deps: OAuthDeps,
  request: {
    client: ClientRow
    scope: string | undefined
    resource: string | undefined
    ip: string | null
    userAgent: string | null
  },
): Promise<DeviceAuthorizationResponse> {
  const { client, ip } = request
  const network = networkOf(ip)
  takeHit(deps.limits, deps.now(), LIMITS.deviceCodes, `${client.id} ${network}`)
  takeHit(deps.limits, deps.now(), LIMITS.networkDeviceCodes, network)
  takeHit(deps.limits, deps.now(), LIMITS.allDeviceCodes, '')
  const resource = deps.resources.find(request.resource)
  const scope = narrowScope(deps.scopes, request.scope, requestableScope(deps.scopes, client))
  const deviceCode = newSecret('deviceCode')
  const createdAt = deps.now()
  const code = {
    id: randomUUID(),
    deviceCodeHash: hashSecret(deviceCode),
    userCode: newUserCode(),
    clientId: client.id,
    scope,
    resource: resource.url,
    intervalSeconds: INTERVAL,
    requestIp: ip,
    requestAgent: request.userAgent?.slice(0, 300) ?? null,
    createdAt,
    expiresAt: new Date(createdAt.getTime() + deps.config.DEVICE_CODE_TTL * 1000),
  }
  while (!(await insertDeviceCode(deps.sql, code))) code.userCode = newUserCode() // already taken: a chance of 1 in 25 billion per open code
  recordRepeatable(deps, 'device.requested', { clientId: client.id, ip, detail: { scope: scope.join(' ') } })
  const userCode = formatUserCode(code.userCode)
  const verificationUri = `${deps.config.BASE_URL}/auth/device`
  return {
    device_code: deviceCode,
    user_code: userCode,
    verification_uri: verificationUri,
    verification_uri_complete: `${verificationUri}?code=${userCode}`,
    expires_in: deps.config.DEVICE_CODE_TTL,
    interval: INTERVAL,
  }
}

/** The result of entering a code: the request's id, or the number of tries left. */
export type EnteredCode = { id: string } | { id: undefined; triesLeft: number }

/**
 * Looks up a user code that a signed-in user typed, and binds it to their session. All invalid codes look the same.
 *
 * @throws OAuthError `slow_down`, status 429, after too many wrong codes, even if this one is correct.
 */
export async function enterUserCode(
  deps: OAuthDeps,
  viewer: Viewer,
  typed: string,
  ip: string | null,
): Promise<EnteredCode> {
  const now = deps.now()
  const network = `device:network:${networkOf(ip)}`
  const own = [`device:session:${viewer.sessionHash.toString('base64url')}`, `device:user:${viewer.userId}`]
  const keys = [...own, network]
  const resetsAt = new Date(now.getTime() + WRONG_CODES_WINDOW_MS)
  const left = ({ key, failures }: Throttle) => (key === network ? WRONG_CODES_OF_NETWORK : WRONG_CODES) - failures
  // In one transaction, so that concurrent guesses are counted one after the other.
  const { counters, full, id } = await inTransaction(deps, async sql => {
    const counters = await lockThrottles(sql, { keys, now, resetsAt })
    const full = counters.filter(counter => left(counter) <= 0)
    if (full.length > 0) return { counters, full, id: undefined }
    const userCode = parseUserCode(typed)
    const claim = { sessionHash: viewer.sessionHash, userId: viewer.userId, now }
    const id = userCode && (await claimDeviceCode(sql, { userCode, ...claim }))
    await (id ? deleteEmptyThrottles(sql, keys) : countFailure(sql, keys))
    return { counters, full, id }
  })
  if (full.length > 0) throw tooManyWrongCodes(full, network, now)
  if (id) return { id }
  record(deps, 'device.wrong_code', { userId: viewer.userId, ip })
  return { id: undefined, triesLeft: Math.min(...counters.map(left)) - 1 }
}

/** The message says whether the network is blocked, since the user may not have entered a wrong code. */
function tooManyWrongCodes(full: Throttle[], network: string, now: Date): OAuthError {
  const resetsAt = Math.max(...full.map(({ resets_at }) => resets_at.getTime()))
  const seconds = Math.ceil((resetsAt - now.getTime()) / 1000)
  const minutes = Math.ceil(seconds / 60)
  const wait = minutes === 1 ? 'Wait a minute' : `Wait ${minutes} minutes`
  const whose = full.every(({ key }) => key === network)
    ? 'Too many wrong codes were entered from your network, not necessarily by you'
    : 'Too many wrong codes'
  return new OAuthError('slow_down', `${whose}. ${wait}, then start again on your device.`, {
    status: 429,
    headers: { 'Retry-After': String(seconds) },
  })
}

/** Finds a request whose code this session entered; once it is decided, any session of the same user can see it. */
export function findEnteredRequest(deps: OAuthDeps, viewer: Viewer, id: string): Promise<DeviceRequest | undefined> {
  return findDeviceRequest(deps.sql, { id, sessionHash: viewer.sessionHash, userId: viewer.userId, now: deps.now() })
}

/** @returns false if the request was already decided, or has expired. */
export async function decideDeviceRequest(
  deps: OAuthDeps,
  viewer: Viewer,
  request: DeviceRequest,
  decision: 'approve' | 'deny',
  ip: string | null,
): Promise<boolean> {
  const approvedScope = decision === 'approve' ? grantableBy(viewer, request.scope) : null
  const decided = await decideDeviceCode(deps.sql, {
    id: request.id,
    sessionHash: viewer.sessionHash,
    approvedScope,
    now: deps.now(),
  })
  if (decided) {
    const event = decision === 'approve' ? 'device.approved' : 'device.denied'
    record(deps, event, {
      userId: viewer.userId,
      clientId: request.client_id,
      ip,
      detail: { scope: (approvedScope ?? []).join(' ') },
    })
  }
  return decided
}
