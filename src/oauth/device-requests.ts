/** Device authorization requests (RFC 8628) up to the user's decision. `user-code-guesses` looks up typed codes; polling is in `grants/device-code.ts`. */

import { randomUUID } from 'node:crypto'
import type { ClientRow } from '../../sql/clients.ts'
import {
  type DeviceRequest,
  decideDeviceCode,
  findDeviceRequest,
  insertDeviceCodes,
  type NewDeviceCode,
} from '../../sql/device-codes.ts'
import { record, recordRepeatable } from '../audit/events.ts'
import { gathered } from '../db/gathered.ts'
import type { Viewer } from '../http/session.ts'
import { hashSecret, newSecret } from '../lib/crypto.ts'
import { networkOf } from '../lib/networks.ts'
import { LIMITS, takeHit } from '../limits.ts'
import { grantableBy } from './consents.ts'
import type { OAuthDeps } from './deps.ts'
import { narrowScope, requestableScope } from './scopes.ts'
import { formatUserCode, newUserCode } from './user-codes.ts'

/** Initial polling interval, in seconds. */
const INTERVAL = 5

const insertDeviceCode = gathered((code: NewDeviceCode) => code.userCode, insertDeviceCodes)

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

/** Finds a request whose code this session entered; once it is decided, any session of the same user can see it. */
export function findEnteredRequest(deps: OAuthDeps, viewer: Viewer, id: string): Promise<DeviceRequest | undefined> {
  return findDeviceRequest(deps.sql, { id, sessionHash: viewer.sessionHash, userId: viewer.userId, now: deps.now() })
}

/** @param decision The scopes that are granted, at most those of the request. @returns false if it was already decided, or has expired. */
export async function decideDeviceRequest(
  deps: OAuthDeps,
  viewer: Viewer,
  request: DeviceRequest,
  decision: { scope: string[] } | 'deny',
  ip: string | null,
): Promise<boolean> {
  const approvedScope = decision === 'deny' ? null : grantableBy(viewer, decision.scope)
  const decided = await decideDeviceCode(deps.sql, {
    id: request.id,
    sessionHash: viewer.sessionHash,
    approvedScope,
    now: deps.now(),
  })
  if (decided) {
    const event = decision === 'deny' ? 'device.denied' : 'device.approved'
    record(deps, event, {
      userId: viewer.userId,
      clientId: request.client_id,
      ip,
      detail: { scope: (approvedScope ?? []).join(' ') },
    })
  }
  return decided
}
