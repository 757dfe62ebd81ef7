/** Sign-in with Google, GitHub or any OpenID provider. The only file that knows arctic, so that it can be replaced. */
import {
  ArcticFetchError,
  CodeChallengeMethod,
  GitHub,
  generateCodeVerifier,
  OAuth2Client,
  OAuth2RequestError,
  type OAuth2Tokens,
  UnexpectedErrorResponseBodyError,
  UnexpectedResponseError,
} from 'arctic'
import { createRemoteJWKSet, errors as joseErrors, jwtVerify } from 'jose'
import { z } from 'zod'
import type { Config } from '../config.ts'
import { AppError } from '../lib/errors.ts'

/** Whom a provider vouches for. Identity is the pair of issuer and subject; the address is for admission and display. */
export interface ExternalIdentity {
  issuer: string
  subject: string
  email: string
  emailVerified: boolean
  name: string
}

/** The secrets of one sign-in on its way to the provider and back. */
export interface SignInSecrets {
  state: string
  nonce: string
  verifier: string
}

export interface Provider {
  id: string
  name: string
  /** Where the browser is sent. */
  start(secrets: SignInSecrets): Promise<URL>
  /** Exchanges the code for the identity. @throws AppError if the provider's answer is not good. */
  finish(code: string, secrets: SignInSecrets): Promise<ExternalIdentity>
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

const providerMetadataSchema = z.object({
  issuer: z.string(),
  authorization_endpoint: z.url(),
  token_endpoint: z.url(),
  jwks_uri: z.url(),
  userinfo_endpoint: z.url().optional(),
})
type ProviderMetadata = z.output<typeof providerMetadataSchema>

/** OpenID Connect Core 1.0, code flow with PKCE and nonce; Google is one of these. */
function openId({ id, name, issuer, clientId, clientSecret, redirectUri }: OpenIdOptions): Provider {
  const client = new OAuth2Client(clientId, clientSecret, redirectUri)
  let found: Promise<{ metadata: ProviderMetadata; keys: ReturnType<typeof createRemoteJWKSet> }> | undefined

  function discover() {
    found ??= fetchMetadata(issuer).then(
      metadata => ({ metadata, keys: createRemoteJWKSet(new URL(metadata.jwks_uri), { timeoutDuration: TIMEOUT_MS }) }),
      error => {
        found = undefined // ask again at the next sign-in
        throw error
      },
    )
    return found
  }

  return {
    id,
    name,
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
    async finish(code, { nonce, verifier }) {
      const { metadata, keys } = await discover()
      const tokens = await exchange(() => client.validateAuthorizationCode(metadata.token_endpoint, code, verifier))
      const claims = await verifyIdToken(tokens, keys, { issuer: metadata.issuer, clientId, nonce })
      // Some providers put the address only into userinfo (OpenID Connect Core 5.3).
      const more =
        claims.email === undefined && metadata.userinfo_endpoint
          ? await fetchUserInfo(metadata.userinfo_endpoint, tokens, claims.sub)
          : {}
      return identityFromClaims(metadata.issuer, { ...claims, ...more })
    },
  }
}

async function fetchMetadata(issuer: string): Promise<ProviderMetadata> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const metadata = providerMetadataSchema.safeParse(await getJson(url))
  if (!metadata.success) throw unreachable(`the metadata at ${url} is not that of an OpenID provider`)
  if (metadata.data.issuer.replace(/\/$/, '') !== issuer.replace(/\/$/, ''))
    throw unreachable(`the metadata at ${url} names another issuer`)
  return metadata.data
}

const claimsSchema = z.object({
  sub: z.string().min(1).max(255),
  email: z.string().optional(),
  // Google and most others send a boolean, some a string.
  email_verified: z.union([z.boolean(), z.enum(['true', 'false']).transform(value => value === 'true')]).optional(),
  name: z.string().optional(),
  preferred_username: z.string().optional(),
})

/** The identity in an id token's or userinfo's claims (OpenID Connect Core 5.1). @throws AppError if it names no address. */
export function identityFromClaims(issuer: string, raw: unknown): ExternalIdentity {
  const claims = claimsSchema.safeParse(raw)
  if (!claims.success) throw refused('the claims are not of the expected shape')
  const { sub, email, email_verified, name, preferred_username } = claims.data
  if (!email) throw refused('the provider gave no e-mail address')
  return { issuer, subject: sub, email, emailVerified: email_verified === true, name: name ?? preferred_username ?? '' }
}

async function verifyIdToken(
  tokens: OAuth2Tokens,
  keys: ReturnType<typeof createRemoteJWKSet>,
  expected: { issuer: string; clientId: string; nonce: string },
): Promise<Record<string, unknown> & { sub: string }> {
  let idToken: string
  try {
    idToken = tokens.idToken()
  } catch {
    throw refused('the provider gave no id token')
  }
  try {
    const { payload } = await jwtVerify(idToken, keys, {
      issuer: expected.issuer,
      audience: expected.clientId,
      requiredClaims: ['sub', 'exp', 'iat', 'nonce'],
      algorithms: ['RS256', 'PS256', 'ES256', 'RS384', 'RS512', 'PS384', 'PS512', 'ES384', 'ES512', 'EdDSA'],
      clockTolerance: 60,
    })
    if (payload.nonce !== expected.nonce) throw refused('the id token has another nonce')
    if (Array.isArray(payload.aud) && payload.aud.length > 1 && payload.azp !== expected.clientId)
      throw refused('the id token is for another party')
    return payload as Record<string, unknown> & { sub: string }
  } catch (error) {
    if (error instanceof joseErrors.JWKSTimeout) throw unreachable('the key set did not come in time')
    if (error instanceof joseErrors.JOSEError) throw refused(`the id token is not good: ${error.code}`)
    throw error
  }
}

async function fetchUserInfo(url: string, tokens: OAuth2Tokens, subject: string): Promise<Record<string, unknown>> {
  const info = z.looseObject({ sub: z.string() }).safeParse(await getJson(url, tokens.accessToken()))
  if (!info.success || info.data.sub !== subject) throw refused('userinfo is about somebody else')
  return info.data
}

const GITHUB_API = 'https://api.github.com'

function gitHub(clientId: string, clientSecret: string, redirectUri: string): Provider {
  const client = new GitHub(clientId, clientSecret, redirectUri)
  return {
    id: 'github',
    name: 'GitHub',
    start: async ({ state }) => client.createAuthorizationURL(state, ['read:user', 'user:email']),
    async finish(code) {
      const token = (await exchange(() => client.validateAuthorizationCode(code))).accessToken()
      const [user, emails] = await Promise.all([
        getJson(`${GITHUB_API}/user`, token),
        getJson(`${GITHUB_API}/user/emails`, token),
      ])
      return identityFromGitHub(user, emails)
    },
  }
}

const gitHubUserSchema = z.object({ id: z.number().int(), login: z.string(), name: z.string().nullish() })
const gitHubEmailsSchema = z.array(z.object({ email: z.string(), primary: z.boolean(), verified: z.boolean() }))

/** The identity in GitHub's answers to `/user` and `/user/emails`: its primary address. */
export function identityFromGitHub(rawUser: unknown, rawEmails: unknown): ExternalIdentity {
  const user = gitHubUserSchema.safeParse(rawUser)
  const emails = gitHubEmailsSchema.safeParse(rawEmails)
  if (!user.success || !emails.success) throw refused('the answers of GitHub are not of the expected shape')
  const primary = emails.data.find(email => email.primary)
  if (!primary) throw refused('the GitHub account has no primary address')
  return {
    issuer: 'https://github.com',
    subject: String(user.data.id),
    email: primary.email,
    emailVerified: primary.verified,
    name: user.data.name || user.data.login,
  }
}

export { generateCodeVerifier }

/** Runs a code exchange and turns arctic's errors into ours; the provider's own words stay in the log. */
async function exchange(run: () => Promise<OAuth2Tokens>): Promise<OAuth2Tokens> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof OAuth2RequestError) throw refused(`the code exchange was refused: ${error.code}`)
    if (error instanceof ArcticFetchError) throw unreachable('the token endpoint cannot be reached')
    if (error instanceof UnexpectedResponseError || error instanceof UnexpectedErrorResponseBodyError)
      throw unreachable(`the token endpoint answered ${error.status}`)
    throw error
  }
}

/** Fetches from a provider that the operator configured. */
async function getJson(url: string, token?: string): Promise<unknown> {
  let response: Response
  try {
    response = await fetch(url, {
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: {
        Accept: 'application/json',
        'User-Agent': 'mcp-oauth-server',
        ...(token ? { Authorization: `Bearer ${token}` } : {}),
      },
    })
  } catch {
    throw unreachable(`${url} cannot be reached`)
  }
  if (!response.ok) throw unreachable(`${url} answered ${response.status}`)
  try {
    return await response.json()
  } catch {
    throw unreachable(`${url} did not answer with JSON`)
  }
}

function unreachable(detail: string): AppError {
  return new AppError('The sign-in provider cannot be reached', 'Try again in a minute, or sign in another way.', {
    status: 502,
    detail,
  })
}

function refused(detail: string): AppError {
  return new AppError(
    'The sign-in did not succeed',
    'Start again. If it fails once more, tell the operator of this server when it happened.',
    { status: 403, detail },
  )
}
