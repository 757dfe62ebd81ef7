/** Dynamic client registration (RFC 7591 2). Unsupported values are dropped rather than rejected, and the response shows the result. */

import { z } from 'zod'
import {
  type AuthMethod,
  type ClientRow,
  insertClient,
  type NewClient,
  updateRegistration,
} from '../../../sql/clients.ts'
import { readText } from '../../http/body.ts'
import { hashSecret, newSecret } from '../../lib/crypto.ts'
import { OAuthError } from '../../lib/errors.ts'
import { JsonError, parseJson } from '../../lib/json.ts'
import type { OAuthDeps } from '../deps.ts'
import { GRANT_TYPES } from '../grants/types.ts'
import { forgetClients } from '../memory.ts'
import { allows } from '../scopes.ts'
import { keyMaterial } from './assertions.ts'
import { AUTH_METHODS } from './authentication.ts'
import { newClientId } from './index.ts'
import { clientDetails, displayName } from './names.ts'
import { isPrivateUseScheme, redirectUriProblem, withoutLoopbackPort } from './redirect-uris.ts'

const BODY_LIMIT = 64 * 1024
const MAX_REDIRECT_URIS = 20

/** Only the fields that we read, parsed leniently: an unusable value counts as absent. */
const lenient = <T extends z.ZodType>(schema: T) => schema.optional().catch(undefined)
const metadataSchema = z.object({
  /** Only in an update (RFC 7592 2.2). */
  client_id: lenient(z.string()),
  redirect_uris: lenient(z.array(z.unknown())),
  token_endpoint_auth_method: lenient(z.string()),
  grant_types: lenient(z.array(z.unknown())),
  scope: lenient(z.union([z.string(), z.array(z.string()).transform(items => items.join(' '))])),
  client_name: lenient(z.string()),
  jwks: z.unknown().optional(),
  jwks_uri: lenient(z.string()),
  client_uri: lenient(z.string().max(2000)),
  software_id: lenient(z.string().max(200)),
  software_version: lenient(z.string().max(200)),
})
export type Metadata = z.output<typeof metadataSchema>

/** @throws OAuthError `invalid_client_metadata` if the body is not a JSON object. */
export async function readMetadata(request: Request): Promise<Metadata> {
  const text = await readText(request, BODY_LIMIT)
  const refused = (why: string) => new OAuthError('invalid_client_metadata', `The registration ${why}`)
  let body: unknown
  try {
    body = parseJson(text)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    throw refused(error.message)
  }
  const metadata = metadataSchema.safeParse(body)
  if (!metadata.success || Array.isArray(body)) throw refused('must be a JSON object')
  return metadata.data
}

/**
 * Registers a client. An anonymous public registration identical to an earlier one gets the same client id, which is safe
 * because it has no secret. Only the first one gets the management token.
 *
 * @param trusted Whether the initial access token was given; only then may the client be a machine.
 */
export async function registerClient(
  deps: OAuthDeps,
  metadata: Metadata,
  trusted: boolean,
): Promise<{ client: ClientRow; secret: string | undefined; managementToken: string | undefined }> {
  const narrowed = narrowMetadata(deps, metadata, trusted)
  const secret = /^client_secret_/.test(narrowed.authMethod) ? newSecret('clientSecret') : undefined
  const managementToken = newSecret('registrationToken')
  const id = newClientId()
  const client = await insertClient(deps.sql, {
    ...narrowed,
    id,
    source: trusted ? 'token' : 'dynamic',
    ...(secret ? { secretHash: hashSecret(secret) } : {}),
    ...(!trusted && narrowed.authMethod === 'none' ? { fingerprint: fingerprintOf(narrowed) } : {}),
    registrationTokenHash: hashSecret(managementToken),
    createdAt: deps.now(),
  })
  return { client, secret, managementToken: client.id === id ? managementToken : undefined }
}

/**
 * Replaces a registration (RFC 7592 2.2). The authentication method stays, and since this request has no initial access
 * token, it cannot add scopes or turn the client into a machine.
 *
 * @returns undefined if the client has become shared.
 */
export async function changeRegistration(
  deps: OAuthDeps,
  client: ClientRow,
  metadata: Metadata,
): Promise<ClientRow | undefined> {
  if (metadata.client_id !== undefined && metadata.client_id !== client.id)
    throw new OAuthError('invalid_client_metadata', 'The client_id must match this registration')
  const asked = {
    ...metadata,
    token_endpoint_auth_method: client.auth_method,
    jwks: client.jwks,
    jwks_uri: client.jwks_uri ?? undefined,
  }
  const narrowed = narrowMetadata(deps, asked, client.grant_types.includes('client_credentials'))
  const scope = narrowed.scope.filter(name => allows(client.scope, name))
  const changed = await updateRegistration(deps.sql, {
    ...narrowed,
    scope: scope.length > 0 ? scope : client.scope,
    id: client.id,
  })
  forgetClients(deps.memory, client.id)
  return changed
}

/** Identifies equal registrations, ignoring the ports of loopback URIs, which do not matter when matching. */
function fingerprintOf(registration: Narrowed): Buffer {
  const redirectUris = registration.redirectUris.map(uri => withoutLoopbackPort(uri) ?? uri)
  return hashSecret(JSON.stringify({ ...registration, redirectUris: [...new Set(redirectUris)] }))
}

type Narrowed = Pick<
  NewClient,
  'name' | 'authMethod' | 'grantTypes' | 'redirectUris' | 'scope' | 'jwks' | 'jwksUri' | 'details'
>

function narrowMetadata(deps: OAuthDeps, metadata: Metadata, trusted: boolean): Narrowed {
  const asked = metadata.grant_types ?? ['authorization_code', 'refresh_token']
  let grantTypes = GRANT_TYPES.filter(grant => asked.includes(grant) && (trusted || grant !== 'client_credentials'))
  const keys = keyMaterial(metadata.jwks, metadata.jwks_uri)
  const authMethod = narrowAuthMethod(
    metadata.token_endpoint_auth_method ?? (hasPrivateScheme(metadata) ? 'none' : undefined),
    keys !== undefined,
    grantTypes.includes('client_credentials'),
  )
  const redirectUris = usableRedirectUris(metadata, grantTypes, authMethod === 'none')
  if (redirectUris.length === 0) grantTypes = grantTypes.filter(grant => grant !== 'authorization_code')
  if (grantTypes.every(grant => grant === 'refresh_token')) {
    const possible = GRANT_TYPES.filter(grant => trusted || grant !== 'client_credentials').join(' ')
    const hint = trusted ? '' : '; client_credentials needs an initial access token'
    throw new OAuthError(
      'invalid_client_metadata',
      `None of the grant_types can be registered; use some of: ${possible}${hint}`,
    )
  }
  return {
    name: displayName(metadata.client_name),
    authMethod,
    grantTypes,
    redirectUris,
    scope: registeredScope(deps, metadata.scope, trusted),
    ...(authMethod === 'private_key_jwt' ? keys : {}),
    details: clientDetails(metadata),
  }
}

/** A private-use scheme means a native app, which cannot keep a secret (RFC 8252 8.5). */
function hasPrivateScheme({ redirect_uris = [] }: Metadata): boolean {
  return redirect_uris.some(uri => typeof uri === 'string' && isPrivateUseScheme(URL.parse(uri)?.protocol ?? ''))
}

/** The default is client_secret_basic (RFC 7591 2); an unsupported method, or one without keys, is replaced by one that works. */
function narrowAuthMethod(asked: string | undefined, hasKeys: boolean, machine: boolean): AuthMethod {
  const known = AUTH_METHODS.find(method => method === asked && (method !== 'private_key_jwt' || hasKeys))
  if (machine) return known === undefined || known === 'none' ? 'client_secret_basic' : known
  return known ?? (asked === undefined ? 'client_secret_basic' : 'none')
}

function usableRedirectUris(metadata: Metadata, grantTypes: readonly string[], publicClient: boolean): string[] {
  const given = (metadata.redirect_uris ?? []).slice(0, MAX_REDIRECT_URIS)
  const problems = given.map(uri => redirectUriProblem(uri, publicClient))
  const usable = given.filter((_, i) => problems[i] === undefined) as string[]
  const needsOne =
    grantTypes.includes('authorization_code') &&
    grantTypes.every(grant => grant === 'authorization_code' || grant === 'refresh_token')
  if (usable.length === 0 && needsOne) {
    throw new OAuthError(
      'invalid_redirect_uri',
      problems[0] ?? 'redirect_uris must name at least one URI for the authorization_code grant',
    )
  }
  return [...new Set(usable)]
}

/** Clients request scopes from the user when they need them, so they are registered for everything that a user can grant. */
function registeredScope({ scopes }: OAuthDeps, asked: string | undefined, trusted: boolean): string[] {
  const known = (asked ?? '').split(' ').filter(scope => scopes.has(scope))
  return trusted && known.length > 0 ? [...new Set(known)] : [...scopes.forUsers]
}
