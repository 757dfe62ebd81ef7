/** Clients: who they are, how they prove it, and how they come to be. */
import { randomBytes } from 'node:crypto'
import { type ClientRow, deleteClient, insertClient, listClients as queryClients } from '../../sql/clients.ts'
import { record } from '../audit.ts'
import type { Deps } from '../deps.ts'

import { clientAddress, type Handled, networkOf } from '../http/client-address.ts'
import { type Params, readParams } from '../http/params.ts'
import { countHit, isWithinLimit, LIMITS, requireUnlimited } from '../http/rate-limits.ts'

import { hashSecret, newSecret, sameBytes } from '../lib/crypto.ts'
import { OAuthError } from '../lib/errors.ts'
import { isMetadataUrl, resolveMetadataClient } from './cimd.ts'
import { assertionProblem } from './client-keys.ts'
import { CHANNEL, type GrantType } from './model.ts'
import { type ClientCredentials, invalidClient, readClientCredentials } from './protocol.ts'
import { lookUpClient, remember } from './replicas.ts'
import { rememberUntil } from './tokens.ts'

/**
 * Reads a request to an endpoint for clients only, and who sends it.
 *
 * @throws OAuthError as {@link authenticateClient}, and `invalid_request` if it is malformed.
 */
export async function authenticateRequest(
  deps: Deps,
  { request, server }: Handled,
): Promise<{ client: ClientRow; params: Params; ip: string | null }> {
  const params = await readParams(request)
  const credentials = readClientCredentials(request, params)
  if (!credentials) throw invalidClient(false, 'no client credentials')
  const ip = clientAddress(deps, request, server)
  return { client: await authenticateClient(deps, credentials, ip), params, ip }
}

/**
 * The client these credentials prove. A public client (no secret) proves nothing and only names itself.
 *
 * @throws OAuthError `invalid_client`, alike for an unknown client and a wrong secret; `slow_down`, status 429, for who
 *   guesses, without locking the client out elsewhere.
 */
export async function authenticateClient(
  deps: Deps,
  credentials: ClientCredentials,
  ip: string | null,
): Promise<ClientRow> {
  const { clientId, basic } = credentials
  // No client's id is longer than 500; what strangers send beyond that must not fill the memory.
  const guesser = `client ${clientId.slice(0, 501)} ${networkOf(ip)}`
  requireUnlimited(deps.limits, deps.now(), LIMITS.clientGuesses, guesser)
  const client = await findClient(deps, clientId)
  const refusal = await refusalOf(deps, client, credentials)
  if (!client || refusal) {
    countHit(deps.limits, deps.now(), LIMITS.clientGuesses, guesser)
    if (isWithinLimit(deps.limits, deps.now(), LIMITS.refusals, networkOf(ip))) {
      const reason = refusal ?? 'unknown client'
      record(deps, 'client.refused', { clientId: client?.id ?? null, ip, detail: { reason } })
    }
    throw invalidClient(basic, refusal ?? 'unknown client')
  }
  return client
}

/** @returns why the credentials do not prove the client, for the log; nothing if they do. */
async function refusalOf(
  deps: Deps,
  client: ClientRow | undefined,
  { secret, assertion, basic }: ClientCredentials,
): Promise<string | undefined> {
  if (!client) return 'unknown client'
  if (client.auth_method === 'private_key_jwt')
    return assertion ? assertionProblem(deps, client, assertion) : 'no assertion'
  if (assertion) return 'an assertion of a client that has no keys'
  if (client.secret_hash === null) {
    // Some clients send an empty secret with their id; a real one they cannot have.
    return secret ? 'a secret of a client that has none' : undefined
  }
  if (!secret) return 'no secret'
  if (!sameBytes(hashSecret(secret), client.secret_hash)) return 'wrong secret'
  if (basic && client.auth_method === 'client_secret_post') return 'Basic, but registered for client_secret_post'
  return undefined
}

/** A client by the id that it gives, whether it registered or is described by a document at that address. */
export async function findClient(deps: Deps, clientId: string): Promise<ClientRow | undefined> {
  if (isMetadataUrl(clientId)) return resolveMetadataClient(deps, clientId)
  // Ids are ours to make; anything longer or stranger was never one.
  return /^[A-Za-z0-9_-]{1,64}$/.test(clientId) ? lookUpClient(deps, clientId) : undefined
}

/** @throws OAuthError `unauthorized_client` if the client did not register for the grant type (RFC 6749 5.2). */
export function requireGrantType(client: ClientRow, grantType: GrantType): void {
  if (!client.grant_types.includes(grantType)) {
    throw new OAuthError('unauthorized_client', `This client is not registered for the grant type ${grantType}`)
  }
}

export function newClientId(): string {
  return `c_${randomBytes(12).toString('base64url')}`
}

export interface NewOperatorClient {
  name: string
  grantTypes: GrantType[]
  redirectUris: string[]
  scope: string[]
  /** Public keys, for a machine that signs assertions instead of keeping a secret. */
  jwks?: { keys: Record<string, unknown>[] }
  jwksUri?: string
}

/** Adds a client for the operator. Machines (client credentials) get a secret, which is returned here and nowhere else. */
export async function addClient(
  deps: Deps,
  client: NewOperatorClient,
): Promise<{ id: string; secret: string | undefined }> {
  const machine = client.grantTypes.includes('client_credentials')
  const secret = machine && !client.jwks && !client.jwksUri ? newSecret('clientSecret') : undefined
  const row = await insertClient(deps.sql, {
    ...client,
    id: newClientId(),
    source: 'operator',
    authMethod: client.jwks || client.jwksUri ? 'private_key_jwt' : secret ? 'client_secret_basic' : 'none',
    ...(secret ? { secretHash: hashSecret(secret) } : {}),
    createdAt: deps.now(),
  })
  record(deps, 'client.added', { clientId: row.id, detail: { name: client.name, grants: client.grantTypes.join(' ') } })
  return { id: row.id, secret }
}

export function listClients(deps: Deps): Promise<ClientRow[]> {
  return queryClients(deps.sql)
}

/**
 * Removes a client and all its grants; its access tokens end on every replica within a second.
 *
 * @param unlessShared leaves alone a client that several installations have.
 */
export async function removeClient(deps: Deps, id: string, { unlessShared = false } = {}): Promise<boolean> {
  const removal = { id, unlessShared, now: deps.now(), rememberUntil: rememberUntil(deps), channel: CHANNEL }
  if (!(await deleteClient(deps.sql, removal))) return false
  remember(deps, deps.replica, `client:${id}`)
  record(deps, 'client.removed', { clientId: id })
  return true
}
