/**
 * Validates an authorization request (RFC 6749 4.1.1, RFC 7636, RFC 8707), one check per function. Until client and
 * redirect URI are known to be valid, an error is shown as a page; after that it is returned to the client.
 */
import type { ClientRow } from '../../sql/clients.ts'
import { recordRepeatable } from '../audit/events.ts'
import { type Params, type Repeated, repetition } from '../http/params.ts'
import { AppError, OAuthError } from '../lib/errors.ts'
import { findClient } from './clients/index.ts'
import { matchesRedirectUri } from './clients/redirect-uris.ts'
import type { OAuthDeps } from './deps.ts'
import { narrowScope, requestableScope } from './scopes.ts'

/** The parameters of an authorization request, not yet checked. */
export interface Asked {
  params: Params
  repeated: Repeated
}

export interface AuthorizationRequest {
  client: ClientRow
  redirectUri: string
  state: string | undefined
  scope: string[]
  resource: string
  codeChallenge: string
}

/** Where the response goes, once client and redirect URI are valid. */
export interface RedirectTarget {
  client: ClientRow
  redirectUri: string
  state: string | undefined
}

/** If one of these is repeated, it is unclear where a response should go. */
const TARGET_PARAMETERS = ['client_id', 'redirect_uri', 'state']

/** @throws AppError or OAuthError if the client or the redirect URI is not valid, so that no response can be sent. */
export async function findRedirectTarget(
  deps: OAuthDeps,
  { params, repeated }: Asked,
  ip: string | null,
): Promise<RedirectTarget> {
  const twice = repeated.find(([name]) => TARGET_PARAMETERS.includes(name))
  if (twice) throw repetition(twice[0])
  let client: ClientRow | undefined
  try {
    client = await requireClient(deps, params.client_id, ip)
    return { client, redirectUri: requireRedirectUri(client, params.redirect_uri), state: params.state }
  } catch (error) {
    if (error instanceof AppError)
      recordRefused(deps, error.detail ?? error.title, { clientId: client?.id ?? null, ip })
    throw error
  }
}

/** @param reason One of a few. */
export function recordRefused(
  deps: OAuthDeps,
  reason: string,
  who: { clientId: string | null; userId?: string | null; ip: string | null },
): void {
  recordRepeatable(deps, 'authorization.refused', { ...who, detail: { reason: reason.slice(0, 200) } }, reason)
}

/** @throws OAuthError to return to the client's redirect URI. */
export function checkAuthorizationRequest(
  deps: OAuthDeps,
  target: RedirectTarget,
  { params, repeated: [twice] }: Asked,
): AuthorizationRequest {
  if (twice) throw repetition(twice[0])
  for (const check of CHECKS) check(params, target.client)
  return {
    ...target,
    resource: deps.resources.find(params.resource).url,
    scope: narrowScope(deps.scopes, params.scope, requestableScope(deps.scopes, target.client)),
    codeChallenge: params.code_challenge!,
  }
}

/** The prompts of a request (OpenID Connect Core 3.1.2.1). */
export function promptsOf(params: Params): ReadonlySet<string> {
  return new Set(params.prompt?.split(' ').filter(Boolean))
}

async function requireClient(deps: OAuthDeps, clientId: string | undefined, ip: string | null): Promise<ClientRow> {
  const client = clientId === undefined ? undefined : await findClient(deps, clientId, ip).catch(explainDocument)
  if (client) return client
  throw new AppError(
    'This server does not know this app',
    'Go back to the app and connect again, so that it registers again. If that does not help, contact its developers.',
    {
      detail: clientId === undefined ? 'no client_id' : 'unknown client_id',
    },
  )
}

/** Shows the user why a metadata document could not be fetched, and what to do. */
function explainDocument(error: unknown): never {
  if (!(error instanceof OAuthError) || error.error !== 'invalid_client') throw error
  throw new AppError('This server could not load information about the app', `${error.description}.`, {
    ...(error.detail ? { detail: error.detail } : {}),
  })
}

/** RFC 6749 3.1.2: the requested redirect URI if it is registered; without a request, the only registered one. */
function requireRedirectUri(client: ClientRow, asked: string | undefined): string {
  const only = client.redirect_uris.length === 1 ? client.redirect_uris[0] : undefined
  const uri = asked ?? only
  if (uri !== undefined && client.redirect_uris.some(registered => matchesRedirectUri(registered, uri))) return uri
  throw new AppError(
    'This app uses a redirect address that it did not register',
    'Nothing was sent. Go back to the app and connect again. If that does not help, contact its developers.',
    {
      detail: 'the redirect_uri is not registered',
    },
  )
}

type Check = (params: Params, client: ClientRow) => void

const CHECKS: readonly Check[] = [
  checkNoRequestObject,
  checkResponseType,
  checkResponseMode,
  checkGrantType,
  checkPkce,
  checkPrompt,
]

function checkNoRequestObject(params: Params): void {
  if (params.request !== undefined)
    throw new OAuthError('request_not_supported', 'The parameter request is not supported')
  if (params.request_uri !== undefined)
    throw new OAuthError('request_uri_not_supported', 'The parameter request_uri is not supported')
}

function checkResponseType(params: Params): void {
  if (params.response_type === undefined)
    throw new OAuthError('invalid_request', 'The parameter response_type is missing')
  if (params.response_type !== 'code')
    throw new OAuthError('unsupported_response_type', 'The response_type must be code')
}

function checkResponseMode(params: Params): void {
  if (params.response_mode !== undefined && params.response_mode !== 'query')
    throw new OAuthError('invalid_request', 'The response_mode must be query')
}

function checkGrantType(_: Params, client: ClientRow): void {
  if (!client.grant_types.includes('authorization_code')) {
    throw new OAuthError('unauthorized_client', 'This client is not registered for the grant type authorization_code')
  }
}

/** Required for every client, including confidential ones (RFC 9700 2.1.1). */
function checkPkce(params: Params): void {
  if (params.code_challenge === undefined)
    throw new OAuthError('invalid_request', 'The parameter code_challenge is missing; PKCE with S256 is required')
  if (params.code_challenge_method !== 'S256')
    throw new OAuthError('invalid_request', 'The code_challenge_method must be S256')
  if (!/^[A-Za-z0-9_-]{43}$/.test(params.code_challenge))
    throw new OAuthError('invalid_request', 'The code_challenge must be 43 characters of base64url')
}

function checkPrompt(params: Params): void {
  const prompts = promptsOf(params)
  if (prompts.has('none') && prompts.size > 1)
    throw new OAuthError('invalid_request', 'prompt=none cannot be combined with another prompt')
}
