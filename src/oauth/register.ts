/** POST /api/oauth/register: dynamic client registration (RFC 7591). Narrow, don't reject: what we cannot do is left out. */
import { Elysia } from 'elysia'
import { z } from 'zod'
import { type ClientRow, insertClient } from '../../sql/clients.ts'
import { record } from '../audit.ts'
import type { Deps } from '../deps.ts'
import { readText } from '../http/body.ts'
import { clientAddress } from '../http/client-address.ts'
import { hashSecret, newSecret, sameBytes } from '../lib/crypto.ts'
import { OAuthError } from '../lib/errors.ts'
import { newClientId } from './clients.ts'
import { AUTH_METHODS, GRANT_TYPES, type GrantType, SCOPES, USER_SCOPES } from './model.ts'
import { noStoreJson } from './protocol.ts'
import { redirectUriProblem } from './redirect-uris.ts'

const BODY_LIMIT = 64 * 1024
const MAX_REDIRECT_URIS = 20

export const register = (deps: Deps) =>
  new Elysia({ name: 'oauth-register' }).post(
    '/api/oauth/register',
    async ({ request, server }) => {
      const trusted = mayRegister(deps, request)
      const metadata = await readMetadata(request)
      const { client, secret } = await registerClient(deps, metadata, trusted)
      record(deps, 'client.registered', {
        clientId: client.id,
        ip: clientAddress(deps, request, server),
        detail: { name: client.name },
      })
      return noStoreJson(clientInformation(client, secret), 201)
    },
    { parse: 'none' },
  )

/** @returns whether the initial access token (RFC 7591 3) was given. @throws OAuthError if registration is not open to this request. */
function mayRegister(deps: Deps, request: Request): boolean {
  const { REGISTRATION, INITIAL_ACCESS_TOKEN } = deps.config
  const token = /^bearer (.+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
  if (REGISTRATION === 'closed') {
    throw new OAuthError('access_denied', 'Registration is closed; ask the operator of this server for a client id', {
      status: 403,
    })
  }
  if (token !== undefined) {
    if (INITIAL_ACCESS_TOKEN && sameBytes(hashSecret(token), hashSecret(INITIAL_ACCESS_TOKEN))) return true
    throw new OAuthError('invalid_token', 'The initial access token is not valid', {
      headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' },
    })
  }
  if (REGISTRATION === 'token') {
    throw new OAuthError(
      'invalid_token',
      'Registration needs an initial access token; ask the operator of this server',
      {
        headers: { 'WWW-Authenticate': 'Bearer' },
      },
    )
  }
  return false
}

/** Only the fields we read, each as loose as it may be; an unusable value counts as absent. */
const lenient = <T extends z.ZodType>(schema: T) => schema.optional().catch(undefined)
const metadataSchema = z.object({
  redirect_uris: lenient(z.array(z.unknown())),
  token_endpoint_auth_method: lenient(z.string()),
  grant_types: lenient(z.array(z.unknown())),
  scope: lenient(z.union([z.string(), z.array(z.string()).transform(items => items.join(' '))])),
  client_name: lenient(z.string()),
  client_uri: lenient(z.string().max(2000)),
  software_id: lenient(z.string().max(200)),
  software_version: lenient(z.string().max(200)),
})
type Metadata = z.output<typeof metadataSchema>

async function readMetadata(request: Request): Promise<Metadata> {
  const text = await readText(request, BODY_LIMIT)
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    throw new OAuthError('invalid_client_metadata', 'The registration must be a JSON object')
  }
  const metadata = metadataSchema.safeParse(body)
  if (!metadata.success || Array.isArray(body))
    throw new OAuthError('invalid_client_metadata', 'The registration must be a JSON object')
  return metadata.data
}

async function registerClient(
  deps: Deps,
  metadata: Metadata,
  trusted: boolean,
): Promise<{ client: ClientRow; secret: string | undefined }> {
  const asked = metadata.grant_types ?? ['authorization_code', 'refresh_token']
  let grantTypes = GRANT_TYPES.filter(grant => asked.includes(grant) && (trusted || grant !== 'client_credentials'))
  const redirectUris = usableRedirectUris(metadata, grantTypes)
  if (redirectUris.length === 0) grantTypes = grantTypes.filter(grant => grant !== 'authorization_code')
  if (grantTypes.every(grant => grant === 'refresh_token')) {
    throw new OAuthError(
      'invalid_client_metadata',
      trusted
        ? `None of the grant_types can be registered; use some of: ${GRANT_TYPES.join(' ')}`
        : `None of the grant_types can be registered; use some of: ${GRANT_TYPES.filter(grant => grant !== 'client_credentials').join(' ')}; client_credentials needs an initial access token`,
    )
  }
  const machine = grantTypes.includes('client_credentials')
  const wanted = AUTH_METHODS.find(method => method === metadata.token_endpoint_auth_method)
  // RFC 7591 2 makes client_secret_basic the default; a client that asks for a method we lack gets the public one.
  const authMethod = machine
    ? wanted === undefined || wanted === 'none'
      ? 'client_secret_basic'
      : wanted
    : metadata.token_endpoint_auth_method === undefined
      ? 'client_secret_basic'
      : (wanted ?? 'none')
  const usable =
    authMethod === 'none' ? redirectUris : redirectUris.filter(uri => redirectUriProblem(uri, false) === undefined)
  const secret = authMethod === 'none' ? undefined : newSecret('clientSecret')
  const name = displayName(metadata.client_name)
  const details = Object.fromEntries(
    (['client_uri', 'software_id', 'software_version'] as const).flatMap(key => {
      const value = printableText(metadata[key] ?? '')
      return value && (key !== 'client_uri' || isWebUrl(value)) ? [[key, value]] : []
    }),
  )
  const scope = registeredScope(metadata.scope, trusted)
  const client = {
    name,
    source: trusted ? ('token' as const) : ('dynamic' as const),
    auth_method: authMethod,
    grant_types: grantTypes as GrantType[],
    redirect_uris: usable,
    scope,
    details,
  }
  // Somebody else's identical registration may be the same installation again: a public client has nothing to steal.
  const fingerprint = !trusted && authMethod === 'none' ? hashSecret(JSON.stringify(client)) : null
  const row = await insertClient(deps.sql, {
    ...client,
    id: newClientId(),
    secret_hash: secret ? hashSecret(secret) : null,
    fingerprint,
    created_at: deps.now(),
  })
  return { client: row, secret }
}

function usableRedirectUris(metadata: Metadata, grantTypes: readonly string[]): string[] {
  const given = (metadata.redirect_uris ?? []).slice(0, MAX_REDIRECT_URIS)
  const problems = given.map(uri => redirectUriProblem(uri, true))
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

/** A client asks the user for what it needs when it needs it, so it is registered for all that a user may give. */
function registeredScope(asked: string | undefined, trusted: boolean): string[] {
  const known = (asked ?? '').split(' ').filter(scope => scope in SCOPES)
  return trusted && known.length > 0 ? [...new Set(known)] : [...USER_SCOPES]
}

function displayName(given: string | undefined): string {
  return (
    printableText(given ?? '')
      .slice(0, 80)
      .trim() || 'Unnamed client'
  )
}

/** Without control, format (bidi, zero width) and private characters, which could make a name look like another one. */
function printableText(value: string): string {
  return value
    .normalize('NFC')
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '')
    .replace(/\s+/g, ' ')
    .trim()
}

function isWebUrl(value: string): boolean {
  return /^https?:$/.test(URL.parse(value)?.protocol ?? '')
}

/** RFC 7591 3.2.1: what was registered, which may be less than what was asked. */
function clientInformation(client: ClientRow, secret: string | undefined) {
  return {
    client_id: client.id,
    client_id_issued_at: Math.floor(client.created_at.getTime() / 1000),
    ...(secret ? { client_secret: secret, client_secret_expires_at: 0 } : {}),
    client_name: client.name,
    redirect_uris: client.redirect_uris,
    grant_types: client.grant_types,
    response_types: client.grant_types.includes('authorization_code') ? ['code'] : [],
    token_endpoint_auth_method: client.auth_method,
    scope: client.scope.join(' '),
    ...client.details,
  }
}
