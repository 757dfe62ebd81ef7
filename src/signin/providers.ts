/** Sign-in with Google, GitHub or any OpenID provider. The only file that imports arctic, so that it can be replaced. */
import {
  ArcticFetchError,
  CodeChallengeMethod,
  generateCodeVerifier,
  OAuth2Client,
  OAuth2RequestError,
  type OAuth2Tokens,
  UnexpectedErrorResponseBodyError,
  UnexpectedResponseError,
} from 'arctic'
import { createRemoteJWKSet, type JWTVerifyGetKey, errors as joseErrors, jwtVerify } from 'jose'
import { z } from 'zod'
import type { Config } from '../config.ts'
import { AppError } from '../lib/errors.ts'
import { type ExternalIdentity, identityFromClaims, identityFromGitHub, refused } from './identity.ts'
import { getJson, unreachable } from './provider-json.ts'

/** The secrets of one sign-in in progress. */
export interface SignInSecrets {
  state: string
  nonce: string
  verifier: string
}

export interface Provider {
  id: string
  name: string
  /** Must be registered at the provider exactly so. */
  redirectUri: string
  /** Why its metadata could not be fetched the last time; undefined if it could, or needs none. */
  readonly problem: string | undefined
  /** Builds the URL to send the browser to. */
  start(secrets: SignInSecrets): Promise<URL>
  /** Exchanges the code from the callback for the identity. @throws AppError if the provider's answer is invalid. */
  finish(
    callback: { code: string; iss: string | undefined },
    secrets: SignInSecrets,
    now: Date,
  ): Promise<ExternalIdentity>
}

export type Providers = ReadonlyMap<string, Provider>

const TIMEOUT_MS = 10_000

export function openProviders(config: Config): Providers {
  const providers: Provider[] = []
  const callback = (id: string) => `${config.BASE_URL}/auth/callback/${id}`
  if (config.GOOGLE_CLIENT_ID && config.GOOGLE_CLIENT_SECRET) {
    const { GOOGLE_CLIENT_ID: clientId, GOOGLE_CLIENT_SECRET: clientSecret } = config
    providers.push(
      openId({
        id: 'google',
        name: 'Google',
        issuer: 'https://accounts.google.com',
        clientId,
        clientSecret,
        redirectUri: callback('google'),
      }),
    )
  }
  if (config.GITHUB_CLIENT_ID && config.GITHUB_CLIENT_SECRET) {
    providers.push(gitHub(config.GITHUB_CLIENT_ID, config.GITHUB_CLIENT_SECRET, callback('github')))
  }
  if (config.OIDC_ISSUER && config.OIDC_CLIENT_ID) {
    const { OIDC_ISSUER: issuer, OIDC_CLIENT_ID: clientId, OIDC_CLIENT_SECRET: clientSecret } = config
    providers.push(
      openId({
        id: 'oidc',
        name: config.OIDC_NAME,
        issuer,
        clientId,
        clientSecret: clientSecret ?? null,
        redirectUri: callback('oidc'),
      }),
    )
  }
  return new Map(providers.map(provider => [provider.id, provider]))
}

interface OpenIdOptions {
  id: string
  name: string
  issuer: string
  clientId: string
  clientSecret: string | null
  redirectUri: string
}

// Bun's fetch would also read file: and data: URLs.
const endpointSchema = z.url({ protocol: /^https?$/ })

const providerMetadataSchema = z.object({
  issuer: z.string(),
  authorization_endpoint: endpointSchema,
  token_endpoint: endpointSchema,
  jwks_uri: endpointSchema,
  userinfo_endpoint: endpointSchema.optional(),
  authorization_response_iss_parameter_supported: z.boolean().optional(),
})
type ProviderMetadata = z.output<typeof providerMetadataSchema>

/** OpenID Connect Core 1.0, code flow with PKCE and nonce; Google is one of these. */
function openId({ id, name, issuer, clientId, clientSecret, redirectUri }: OpenIdOptions): Provider {
  const client = new OAuth2Client(clientId, clientSecret, redirectUri)
  let found: Promise<{ metadata: ProviderMetadata; keys: JWTVerifyGetKey }> | undefined
  let problem: string | undefined

  function discover() {
    found ??= fetchMetadata(issuer).then(
      metadata => {
        problem = undefined
        return { metadata, keys: keySet(metadata.jwks_uri) }
      },
      error => {
        found = undefined // retry at the next sign-in
        problem = error instanceof AppError ? error.detail : String(error)
        throw error
      },
    )
    return found
  }

  return {
    id,
    name,
    redirectUri,
    get problem() {
      return problem
    },
    async start({ state, nonce, verifier }) {
      const { metadata } = await discover()
      const url = client.createAuthorizationURLWithPKCE(
        metadata.authorization_endpoint,
        state,
        CodeChallengeMethod.S256,
        verifier,
        ['openid', 'email', 'profile'],
      )
      url.searchParams.set('nonce', nonce)
      return url
    },
    async finish({ code, iss }, { nonce, verifier }, now) {
      const { metadata, keys } = await discover()
      // RFC 9207 2.4: if the provider announces the iss parameter, it must be present.
      if (iss === undefined ? metadata.authorization_response_iss_parameter_supported : iss !== metadata.issuer)
        throw refused('the answer comes from another issuer')
      const tokens = await exchange(() => client.validateAuthorizationCode(metadata.token_endpoint, code, verifier))
      const claims = await verifyIdToken(tokens, keys, { issuer: metadata.issuer, clientId, nonce, now })
      // Some providers put the address only into userinfo (OpenID Connect Core 5.3). Do not mix the two: email_verified
      // belongs to the email next to it.
      const source =
        claims.email === undefined && metadata.userinfo_endpoint
          ? await fetchUserInfo(metadata.userinfo_endpoint, accessToken(tokens), claims.sub)
          : claims
      return identityFromClaims(metadata.issuer, source)
    },
  }
}

async function fetchMetadata(issuer: string): Promise<ProviderMetadata> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const metadata = providerMetadataSchema.safeParse(await getJson(url))
  if (!metadata.success) throw unreachable(`the metadata at ${url} is not valid for an OpenID provider`)
  if (metadata.data.issuer.replace(/\/$/, '') !== issuer.replace(/\/$/, ''))
    throw unreachable(`the metadata at ${url} names another issuer`)
  return metadata.data
}

/** The provider's keys. A failure to fetch them is an outage, not an invalid token. */
function keySet(uri: string): JWTVerifyGetKey {
  const keys = createRemoteJWKSet(new URL(uri), { timeoutDuration: TIMEOUT_MS })
  return async (header, token) => {
    try {
      return await keys(header, token)
    } catch (error) {
      if (error instanceof joseErrors.JWKSNoMatchingKey || error instanceof joseErrors.JOSENotSupported) throw error
      throw unreachable(`the key set at ${uri} cannot be fetched`)
    }
  }
}

async function verifyIdToken(
  tokens: OAuth2Tokens,
  keys: JWTVerifyGetKey,
  expected: { issuer: string; clientId: string; nonce: string; now: Date },
): Promise<Record<string, unknown> & { sub: string }> {
  let idToken: string
  try {
    idToken = tokens.idToken()
  } catch {
    throw refused('the provider returned no id token')
  }
  try {
    const { payload } = await jwtVerify(idToken, keys, {
      issuer: expected.issuer,
      audience: expected.clientId,
      requiredClaims: ['sub', 'exp', 'iat', 'nonce'],
      algorithms: ['RS256', 'PS256', 'ES256', 'RS384', 'RS512', 'PS384', 'PS512', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
      currentDate: expected.now,
      clockTolerance: 60,
    })
    if (payload.nonce !== expected.nonce) throw refused('the id token has a wrong nonce')
    if (Array.isArray(payload.aud) && payload.aud.length > 1 && payload.azp !== expected.clientId)
      throw refused('the id token is for another party')
    return payload as Record<string, unknown> & { sub: string }
  } catch (error) {
    if (error instanceof joseErrors.JOSEError) throw refused(`invalid id token: ${error.code}`)
    throw error
  }
}

async function fetchUserInfo(url: string, token: string, subject: string): Promise<Record<string, unknown>> {
  const info = z.looseObject({ sub: z.string() }).safeParse(await getJson(url, token))
  if (!info.success || info.data.sub !== subject) throw refused('userinfo is for another user')
  return info.data
}

const GITHUB = 'https://github.com/login/oauth'
const GITHUB_API = 'https://api.github.com'

/** OAuth 2.0 with PKCE; the identity comes from the API. */
function gitHub(clientId: string, clientSecret: string, redirectUri: string): Provider {
  const client = new OAuth2Client(clientId, clientSecret, redirectUri)
  return {
    id: 'github',
    name: 'GitHub',
    redirectUri,
    problem: undefined,
    start: async ({ state, verifier }) =>
      client.createAuthorizationURLWithPKCE(`${GITHUB}/authorize`, state, CodeChallengeMethod.S256, verifier, [
        'read:user',
        'user:email',
      ]),
    async finish({ code }, { verifier }) {
      // GitHub answers an invalid code with status 200, `error` and no token.
      const token = accessToken(
        await exchange(() => client.validateAuthorizationCode(`${GITHUB}/access_token`, code, verifier)),
      )
      const [user, emails] = await Promise.all([
        getJson(`${GITHUB_API}/user`, token),
        getJson(`${GITHUB_API}/user/emails`, token),
      ])
      return identityFromGitHub(user, emails)
    },
  }
}

export { generateCodeVerifier }

/** Runs a code exchange and converts arctic's errors; the provider's error goes only to the log. */
async function exchange(run: () => Promise<OAuth2Tokens>): Promise<OAuth2Tokens> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  // arctic has no timeout.
  const timer = setTimeout(() => reject(unreachable('the token endpoint did not answer in time')), TIMEOUT_MS)
  try {
    return await Promise.race([run(), late])
  } catch (error) {
    if (error instanceof OAuth2RequestError) throw refused(`the code exchange was refused: ${error.code}`)
    if (error instanceof ArcticFetchError) throw unreachable('the token endpoint cannot be reached')
    if (error instanceof UnexpectedResponseError || error instanceof UnexpectedErrorResponseBodyError)
      throw unreachable(`the token endpoint answered ${error.status} with an invalid body`)
    throw error
  } finally {
    clearTimeout(timer)
  }
}

function accessToken(tokens: OAuth2Tokens): string {
  try {
    return tokens.accessToken()
  } catch {
    throw refused('the provider returned no access token')
  }
}
