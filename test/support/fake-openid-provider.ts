/** An OpenID provider that misbehaves on request: it signs everybody in at once, with the claims that a test wants. */
import type { Server } from 'bun'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { TestServer } from './server.ts'
import type { Browser, Page } from './user-agent.ts'

/** What differs from correct behavior; `undefined` leaves a member out. */
export interface Misbehaviour {
  metadata?: Record<string, unknown>
  /** Parameters of the redirect to the callback. */
  callback?: Record<string, string | undefined>
  claims?: Record<string, unknown>
  /** Creates the whole id token from good claims. */
  idToken?: (claims: Record<string, unknown>) => string | Promise<string>
  /** Members of the token response. */
  tokens?: Record<string, unknown>
  /** The whole token response. */
  token?: () => Response
  jwks?: () => Response
  userinfo?: Record<string, unknown>
}

export interface FakeProvider {
  issuer: string
  env: Record<string, string>
  misbehave(how: Misbehaviour): void
  /** What it was last sent, and the id token that it answered. */
  exchanged: Record<'state' | 'nonce' | 'verifier' | 'idToken', string>
  /** The key of its key set. */
  key: CryptoKey
  stop(): Promise<void>
}

const GOOD = { sub: 'mallory', email: 'mallory@example.com', email_verified: true, name: 'Mallory' }

/** @param now the clock of the server under test. */
export async function startFakeProvider(now: () => Date): Promise<FakeProvider> {
  const { publicKey, privateKey } = await generateKeyPair('RS256')
  const keys = { keys: [{ ...(await exportJWK(publicKey)), kid: 'fake', alg: 'RS256', use: 'sig' }] }
  let how: Misbehaviour = {}
  let nonce: string | null = null
  const exchanged = { state: '', nonce: '', verifier: '', idToken: '' }

  async function idToken(issuer: string): Promise<string> {
    const seconds = Math.floor(now().getTime() / 1000)
    const standard = { iss: issuer, aud: 'us', iat: seconds, exp: seconds + 300, nonce }
    const claims = { ...standard, ...GOOD, ...how.claims }
    return how.idToken ? how.idToken(claims) : signed(claims, privateKey)
  }

  const server: Server<undefined> = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    routes: {
      '/.well-known/openid-configuration': () => {
        const issuer = server.url.origin
        return Response.json({
          issuer,
          authorization_endpoint: `${issuer}/authorize`,
          token_endpoint: `${issuer}/token`,
          jwks_uri: `${issuer}/jwks`,
          userinfo_endpoint: `${issuer}/userinfo`,
          ...how.metadata,
        })
      },
      '/authorize': request => {
        const asked = new URL(request.url).searchParams
        nonce = asked.get('nonce')
        Object.assign(exchanged, { state: asked.get('state'), nonce })
        const back = new URL(asked.get('redirect_uri')!)
        const answer = { code: 'a-code', state: asked.get('state')!, ...how.callback }
        for (const [name, value] of Object.entries(answer)) if (value !== undefined) back.searchParams.set(name, value)
        return Response.redirect(back.href, 302)
      },
      '/token': async request => {
        const id_token = await idToken(server.url.origin)
        const verifier = (await request.formData()).get('code_verifier')
        Object.assign(exchanged, { verifier, idToken: id_token })
        const tokens = { access_token: 'an-access-token', token_type: 'Bearer', id_token, ...how.tokens }
        return how.token?.() ?? Response.json(tokens)
      },
      '/jwks': () => how.jwks?.() ?? Response.json(keys),
      '/userinfo': () => Response.json(how.userinfo ?? GOOD),
    },
  })
  const issuer = server.url.origin
  return {
    issuer,
    env: { OIDC_ISSUER: issuer, OIDC_CLIENT_ID: 'us', OIDC_CLIENT_SECRET: 'a-secret' },
    key: privateKey,
    exchanged,
    misbehave(next) {
      how = next
    },
    stop: () => server.stop(true),
  }
}

export function signed(
  claims: Record<string, unknown>,
  key: CryptoKey | Uint8Array,
  header: Record<string, unknown> = {},
): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'fake', ...header }).sign(key)
}

/** The whole flow, without any input from a person. @returns where it ended. */
export async function signInAtFake(browser: Browser, server: Pick<TestServer, 'base'>): Promise<Page> {
  return browser.press(await browser.visit(`${server.base}/auth/signin`), '/auth/signin/oidc')
}
