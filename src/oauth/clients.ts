/** Clients: who they are, how they prove it, and how they come to be. */
import { randomBytes } from 'node:crypto'
import { type ClientRow, deleteClient, insertClient, listClients as queryClients } from '../../sql/clients.ts'
import { record } from '../audit.ts'
import type { Deps } from '../deps.ts'
import { hashSecret, newSecret, sameBytes } from '../lib/crypto.ts'
import { OAuthError } from '../lib/errors.ts'
import type { GrantType } from './model.ts'
import { type ClientCredentials, invalidClient } from './protocol.ts'
import { CHANNEL, lookUpClient, remember } from './replicas.ts'
import { rememberUntil } from './tokens.ts'

/**
 * The client these credentials prove. A public client (no secret) proves nothing and only names itself.
 *
 * @throws OAuthError `invalid_client`, alike for an unknown client and a wrong secret.
 */
export async function authenticateClient(
  deps: Deps,
  credentials: ClientCredentials,
  ip: string | null,
): Promise<ClientRow> {
  const { clientId, secret, basic } = credentials
  const client = isClientId(clientId) ? await lookUpClient(deps, clientId) : undefined
  const refusal = refusalOf(client, secret, basic)
  if (!client || refusal) {
    record(deps, 'client.refused', {
      clientId: client?.id ?? null,
      ip,
      detail: { reason: refusal ?? 'unknown client' },
    })
    throw invalidClient(basic, refusal ?? 'unknown client')
  }
  return client
}

function refusalOf(client: ClientRow | undefined, secret: string | undefined, basic: boolean): string | undefined {
  if (!client) return 'unknown client'
  if (client.secret_hash === null) {
    // Some clients send an empty secret with their id; a real one they cannot have.
    return secret ? 'a secret for a client that has none' : undefined
  }
  if (!secret) return 'no secret'
  if (!sameBytes(hashSecret(secret), client.secret_hash)) return 'wrong secret'
  if (basic && client.auth_method === 'client_secret_post') return 'Basic, but registered for client_secret_post'
  return undefined
}

/** Client ids are ours to make; anything longer or stranger was never one. */
function isClientId(value: string): boolean {
  return /^[A-Za-z0-9_-]{1,64}$/.test(value)
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
}

/** Adds a client for the operator. Machines (client credentials) get a secret, which is returned here and nowhere else. */
export async function addClient(
  deps: Deps,
  client: NewOperatorClient,
): Promise<{ id: string; secret: string | undefined }> {
  const secret = client.grantTypes.includes('client_credentials') ? newSecret('clientSecret') : undefined
  const row = await insertClient(deps.sql, {
    id: newClientId(),
    name: client.name,
    source: 'operator',
    auth_method: secret ? 'client_secret_basic' : 'none',
    secret_hash: secret ? hashSecret(secret) : null,
    grant_types: client.grantTypes,
    redirect_uris: client.redirectUris,
    scope: client.scope,
    details: {},
    fingerprint: null,
    created_at: deps.now(),
  })
  record(deps, 'client.added', { clientId: row.id, detail: { name: client.name, grants: client.grantTypes.join(' ') } })
  return { id: row.id, secret }
}

export function listClients(deps: Deps): Promise<ClientRow[]> {
  return queryClients(deps.sql)
}

/** Removes a client and all its grants; its access tokens end on every replica within a second. */
export async function removeClient(deps: Deps, id: string): Promise<boolean> {
  const removal = { id, now: deps.now(), rememberUntil: rememberUntil(deps), channel: CHANNEL }
  if (!(await deleteClient(deps.sql, removal))) return false
  remember(deps, deps.replica, `client:${id}`)
  record(deps, 'client.removed', { clientId: id })
  return true
}
