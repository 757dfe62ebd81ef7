/**
 * Clients: who they are and how they come to be. How a client proves who it is is in `authentication` and `assertions`;
 * `registration` is RFC 7591, `metadata-documents` the client ids that are URLs, `redirect-uris` and `names` what a client
 * may say of itself.
 */
import { randomBytes } from 'node:crypto'
import {
  type AuthMethod,
  type ClientRow,
  deleteClient,
  insertClient,
  listClients as queryClients,
  updateClientSecret,
} from '../../../sql/clients.ts'
import { record } from '../../audit/events.ts'
import { hashSecret, newSecret } from '../../lib/crypto.ts'
import { OAuthError } from '../../lib/errors.ts'
import type { OAuthDeps } from '../deps.ts'
import type { GrantType } from '../grants/types.ts'
import { lookUpClient, remember, rememberUntil } from '../memory.ts'
import { isMetadataUrl, resolveMetadataClient } from './metadata-documents.ts'

/** A client by the id that it gives, whether it registered or is described by a document at that address. */
export async function findClient(deps: OAuthDeps, clientId: string): Promise<ClientRow | undefined> {
  if (isMetadataUrl(clientId)) return resolveMetadataClient(deps, clientId)
  return isIssuedId(clientId) ? lookUpClient(deps, clientId) : undefined
}

/** Whether this server could have made the id: it makes no longer or stranger ones. */
export function isIssuedId(clientId: string): boolean {
  return /^[A-Za-z0-9_-]{1,64}$/.test(clientId)
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
  /** How it proves itself. By default a machine has a secret, and a client that acts for users has none. */
  authMethod?: AuthMethod
  /** Public keys, or their address, for private_key_jwt. */
  keys?: { jwks: { keys: Record<string, unknown>[] } } | { jwksUri: string }
}

/** Adds a client for the operator. A secret, if it has one, is returned here and nowhere else. */
export async function addClient(
  deps: OAuthDeps,
  { keys, ...client }: NewOperatorClient,
): Promise<{ id: string; secret: string | undefined }> {
  const machine = client.grantTypes.includes('client_credentials')
  const authMethod = client.authMethod ?? (keys ? 'private_key_jwt' : machine ? 'client_secret_basic' : 'none')
  const secret = authMethod.startsWith('client_secret_') ? newSecret('clientSecret') : undefined
  const row = await insertClient(deps.sql, {
    ...client,
    ...keys,
    id: newClientId(),
    source: 'operator',
    authMethod,
    ...(secret ? { secretHash: hashSecret(secret) } : {}),
    createdAt: deps.now(),
  })
  record(deps, 'client.added', { clientId: row.id, detail: { name: client.name, grants: client.grantTypes.join(' ') } })
  return { id: row.id, secret }
}

/** Gives a client a new secret in place of the old one. @returns the secret; nothing if there is no such client with one. */
export async function rotateClientSecret(deps: OAuthDeps, id: string): Promise<string | undefined> {
  const secret = newSecret('clientSecret')
  if (!(await updateClientSecret(deps.sql, { id, secretHash: hashSecret(secret) }))) return undefined
  record(deps, 'client.secret_rotated', { clientId: id })
  return secret
}

export function listClients(deps: OAuthDeps): Promise<ClientRow[]> {
  return queryClients(deps.sql)
}

/**
 * Removes a client and all its grants; its access tokens end on every replica within a second.
 *
 * @param unlessShared leaves alone a client that several installations have.
 */
export async function removeClient(deps: OAuthDeps, id: string, { unlessShared = false } = {}): Promise<boolean> {
  const removal = { id, unlessShared, now: deps.now(), rememberUntil: rememberUntil(deps) }
  if (!(await deleteClient(deps.sql, removal))) return false
  remember(deps, `client:${id}`)
  record(deps, 'client.removed', { clientId: id })
  return true
}
