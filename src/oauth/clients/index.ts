/**
 * Clients: lookup, and management by the operator. `authentication` and `assertions` authenticate them; `registration` is
 * RFC 7591, `metadata-documents` handles client ids that are URLs; `redirect-uris` and `names` validate their metadata.
 */
import { randomBytes } from 'node:crypto'
import {
  type AuthMethod,
  type ClientRow,
  type ClientSource,
  deleteClient,
  findOperatorClientByName,
  insertClient,
  listNewestClients,
  listClients as queryClients,
  updateClientSecret,
} from '../../../sql/clients.ts'
import { lockGranted } from '../../../sql/grants.ts'
import { record, recordRepeatable } from '../../audit/events.ts'
import { inTransaction } from '../../db/index.ts'
import { hashSecret, newSecret } from '../../lib/crypto.ts'
import { OAuthError } from '../../lib/errors.ts'
import { printableText } from '../../lib/text.ts'
import type { OAuthDeps } from '../deps.ts'
import type { GrantType } from '../grants/types.ts'
import { forgetClients, lookUpClient, remember, rememberUntil } from '../memory.ts'
import { isMetadataUrl, resolveMetadataClient } from './metadata-documents.ts'

/** Clients listed per statement. */
const PAGE = 500

/** Finds a client by its id, which may be the URL of a metadata document. */
export async function findClient(deps: OAuthDeps, clientId: string, ip: string | null): Promise<ClientRow | undefined> {
  if (isMetadataUrl(clientId)) return resolveMetadataClient(deps, clientId, ip)
  return isIssuedId(clientId) ? lookUpClient(deps, clientId) : undefined
}

/** Whether an id has the form of ids that this server issues. */
export function isIssuedId(clientId: string): boolean {
  return /^[A-Za-z0-9_-]{1,64}$/.test(clientId)
}

/** @throws OAuthError `unauthorized_client` if the client did not register for the grant type (RFC 6749 5.2). */
export function requireGrantType(deps: OAuthDeps, client: ClientRow, grantType: GrantType, ip: string | null): void {
  if (!client.grant_types.includes(grantType)) {
    const detail = { grant: grantType }
    recordRepeatable(deps, 'client.unauthorized', { clientId: client.id, ip, detail }, grantType)
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
  /** Default: a secret for a machine, `none` for a client that acts for users. */
  authMethod?: AuthMethod
  /** Public keys, or their URL, for private_key_jwt. */
  keys?: { jwks: { keys: Record<string, unknown>[] } } | { jwksUri: string }
}

/**
 * Adds a client for the operator. Its secret, if it has one, is returned only here.
 *
 * @returns also the id of an earlier client of the operator that has the same name.
 */
export async function addClient(
  deps: OAuthDeps,
  { keys, name: asked, ...rest }: NewOperatorClient,
): Promise<{ id: string; secret: string | undefined; namesake: string | undefined }> {
  const client = { ...rest, name: printableText(asked, 100) }
  const namesake = (await findOperatorClientByName(deps.sql, client.name))?.id
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
  return { id: row.id, secret, namesake }
}

/** Replaces a client's secret. @returns the new secret; undefined if there is no such client with a secret. */
export async function rotateClientSecret(deps: OAuthDeps, id: string): Promise<string | undefined> {
  const secret = newSecret('clientSecret')
  if (!(await updateClientSecret(deps.sql, { id, secretHash: hashSecret(secret) }))) return undefined
  // Not only when the notification arrives: here the old secret ends before the new one is shown.
  forgetClients(deps.memory, id)
  record(deps, 'client.secret_rotated', { clientId: id })
  return secret
}

/** All clients, oldest first, read in pages. */
export async function* listClients(deps: OAuthDeps): AsyncGenerator<ClientRow> {
  let after: ClientRow | undefined
  for (;;) {
    const page = await queryClients(deps.sql, { after, limit: PAGE })
    yield* page
    after = page.at(-1)
    if (page.length < PAGE) return
  }
}

/** One page of the clients that came from one source, newest first. */
export function newestClients(
  { sql }: OAuthDeps,
  page: { source: ClientSource; before: Pick<ClientRow, 'id' | 'created_at'> | undefined; limit: number },
): Promise<ClientRow[]> {
  return listNewestClients(sql, page)
}

/**
 * Removes a client and all its grants; its access tokens stop working on every replica within a second.
 *
 * @param unlessShared Keeps a client that several installations share.
 */
export async function removeClient(deps: OAuthDeps, id: string, { unlessShared = false } = {}): Promise<boolean> {
  const removal = { id, unlessShared, now: deps.now(), rememberUntil: rememberUntil(deps) }
  const removed = await inTransaction(deps, async sql => {
    await lockGranted(sql, { clientId: id })
    return deleteClient(sql, removal)
  })
  if (!removed) return false
  remember(deps, `client:${id}`)
  record(deps, 'client.removed', { clientId: id })
  return true
}
