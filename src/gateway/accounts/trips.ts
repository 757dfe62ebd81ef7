/** The round trip of a user to an upstream's authorization server (authorization code with PKCE), which links an account. */
import {
  AuthorizationResponseError,
  type AuthorizationServer,
  authorizationCodeGrantRequest,
  calculatePKCECodeChallenge,
  generateRandomCodeVerifier,
  generateRandomState,
  getValidatedIdTokenClaims,
  processAuthorizationCodeResponse,
  ResponseBodyError,
  type TokenEndpointResponse,
  validateAuthResponse,
} from 'oauth4webapi'
import { upsertUpstreamAccount } from '../../../sql/upstream-accounts.ts'
import { insertUpstreamTrip, takeUpstreamTrip } from '../../../sql/upstream-trips.ts'
import { record, recordRepeatable } from '../../audit/events.ts'
import type { Base } from '../../base.ts'
import { hashSecret, seal, unseal } from '../../lib/crypto.ts'
import { AppError } from '../../lib/errors.ts'
import { SafeFetchError } from '../../lib/safe-fetch.ts'
import { printableText } from '../../lib/text.ts'
import { LIMITS, takeHit } from '../../limits.ts'
import type { UpstreamConfig } from '../config.ts'
import { authenticationOf, callbackOf, clientAt, forgetClient, type KnownClient } from './client-identity.ts'
import { cannotLink, type Discovered } from './discovery.ts'
import { sealTokens } from './memory.ts'
import { openReach, requestOptions, urlOf } from './reach.ts'
import { expiryOf, isKnownCode } from './refresh.ts'
import type { Traveller } from './types.ts'

const TRIP_MS = 600_000

/** The stored state of a trip. */
interface Trip {
  url: string
  verifier: string
  server: Pick<
    AuthorizationServer,
    'issuer' | 'token_endpoint' | 'revocation_endpoint' | 'authorization_response_iss_parameter_supported'
  >
  client: KnownClient
  resource: string
  scope: string[]
}

const aboutOf = (state: string, userId: string) => JSON.stringify(['trip', state, userId])

/** Starts a trip. @returns the URL to send the browser to. @throws AppError; OAuthError `slow_down` after too many. */
export async function beginTrip(
  base: Base,
  config: UpstreamConfig,
  traveller: Traveller,
  { server, resource }: Discovered,
  scope: string[] | undefined,
): Promise<URL> {
  takeHit(base.limits, base.now(), LIMITS.links, traveller.userId)
  const client = await clientAt(base, config, openReach(base.outbound, config), server)
  const state = generateRandomState()
  const verifier = generateRandomCodeVerifier()
  const { issuer, token_endpoint, revocation_endpoint, authorization_response_iss_parameter_supported } = server
  const trip: Trip = {
    url: urlOf(config),
    verifier,
    server: {
      issuer,
      token_endpoint,
      revocation_endpoint,
      authorization_response_iss_parameter_supported,
    } as Trip['server'],
    client,
    resource,
    scope: scope ?? [],
  }
  const now = base.now()
  await insertUpstreamTrip(base.sql, {
    stateHash: hashSecret(state),
    sessionHash: traveller.sessionHash,
    userId: traveller.userId,
    upstream: config.name,
    request: seal(base.secrets.upstreamAccounts, JSON.stringify(trip), aboutOf(state, traveller.userId)),
    expiresAt: new Date(now.getTime() + TRIP_MS),
  })
  const url = new URL(server.authorization_endpoint!)
  const params = {
    response_type: 'code',
    client_id: client.id,
    redirect_uri: callbackOf(base, config.name),
    state,
    code_challenge: await calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    resource,
    ...(scope && scope.length > 0 ? { scope: scope.join(' ') } : {}),
    // OpenID Connect Core 11: without prompt=consent a provider ignores offline_access.
    ...(scope?.includes('offline_access') ? { prompt: 'consent' } : {}),
  }
  for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value)
  return url
}

/** Completes a trip and links the account. @param params Of the callback. @throws AppError if nothing was linked. */
export async function finishTrip(
  base: Base,
  config: UpstreamConfig,
  traveller: Traveller,
  params: URLSearchParams,
): Promise<void> {
  const { userId } = traveller
  const state = params.get('state') ?? ''
  const taken = await takeUpstreamTrip(base.sql, {
    stateHash: hashSecret(state),
    sessionHash: traveller.sessionHash,
    upstream: config.name,
    now: base.now(),
  })
  if (!taken) throw failed(base, config, traveller, LOST, 'this session has no such trip')
  const trip: Trip = JSON.parse(unseal(base.secrets.upstreamAccounts, taken.request, aboutOf(state, userId)))
  if (trip.url !== urlOf(config))
    throw failed(base, config, traveller, LOST, 'the address of the server has changed since')
  const answer = await exchange(base, config, traveller, trip, params, state)
  const now = base.now()
  const scope = answer.scope === undefined ? trip.scope : answer.scope.split(' ').filter(Boolean)
  await upsertUpstreamAccount(base.sql, {
    upstream: config.name,
    userId,
    url: trip.url,
    issuer: trip.server.issuer,
    account: accountOf(answer),
    scope,
    tokens: sealTokens(base, config, userId, {
      accessToken: answer.access_token,
      ...(answer.refresh_token ? { refreshToken: answer.refresh_token } : {}),
      client: trip.client,
      tokenEndpoint: trip.server.token_endpoint!,
      ...(trip.server.revocation_endpoint ? { revocationEndpoint: trip.server.revocation_endpoint } : {}),
      resource: trip.resource,
    }),
    expiresAt: expiryOf(answer, now),
    now,
  })
  record(base, 'upstream.linked', {
    userId,
    ip: traveller.ip,
    detail: { upstream: config.name, issuer: trip.server.issuer, scope: scope.join(' ') },
  })
}

async function exchange(
  base: Base,
  config: UpstreamConfig,
  traveller: Traveller,
  { server, client, verifier, resource }: Trip,
  params: URLSearchParams,
  state: string,
): Promise<TokenEndpointResponse> {
  const identity = { client_id: client.id }
  try {
    // Checks the issuer first (RFC 9207), so that the code of another server is not sent anywhere.
    const validated = validateAuthResponse(server, identity, params, state)
    const response = await authorizationCodeGrantRequest(
      server,
      identity,
      authenticationOf(client),
      validated,
      callbackOf(base, config.name),
      verifier,
      { ...requestOptions(openReach(base.outbound, config)), additionalParameters: { resource } },
    )
    return await processAuthorizationCodeResponse(server, identity, response)
  } catch (error) {
    if (error instanceof AuthorizationResponseError && error.error === 'access_denied')
      throw failed(base, config, traveller, DENIED, 'the user denied access')
    if (error instanceof ResponseBodyError && error.error === 'invalid_client' && config.auth?.clientId === undefined)
      await forgetClient(base, config, server.issuer)
    throw failed(base, config, traveller, undefined, detailOf(error))
  }
}

/** Describes an error without any text from the server. */
function detailOf(error: unknown): string {
  if (error instanceof SafeFetchError) return `the token endpoint ${error.detail}`
  const code = (error as { error?: unknown }).error
  if (error instanceof AuthorizationResponseError || error instanceof ResponseBodyError)
    return isKnownCode(code) ? code : 'refused with an unknown error code'
  return (error as Error).message
}

const LOST = {
  title: 'This was started in another browser or too long ago',
  advice: 'Nothing was linked. Start again from your account page in this browser.',
}
const DENIED = { title: 'Nothing was linked', advice: 'The other server reports that you denied access.' }

function failed(
  base: Base,
  config: UpstreamConfig,
  { userId, ip }: Traveller,
  words: { title: string; advice: string } | undefined,
  why: string,
): AppError {
  const detail = { upstream: config.name, why: why.slice(0, 200) }
  recordRepeatable(base, 'upstream.link_failed', { userId, ip, detail }, `${detail.upstream} ${detail.why}`)
  if (!words) return cannotLink(config, why)
  return new AppError(words.title, words.advice, { detail: `${config.name}: ${why}` })
}

/** The user's name at the upstream, if there is an id token (OpenID Connect). */
function accountOf(answer: TokenEndpointResponse): string | null {
  const claims = getValidatedIdTokenClaims(answer)
  const known = ['email', 'preferred_username', 'name', 'sub'].map(name => claims?.[name])
  const account = known.find(claim => typeof claim === 'string' && claim !== '')
  return account === undefined ? null : printableText(String(account), 100)
}
