/** A real OpenID provider (`oidc-provider`) on loopback, for tests of the whole flow, with helpers for its pages. */
import { createServer, type Server } from 'node:http'
import { exportJWK, generateKeyPair } from 'jose'
import { freePort } from './ports.ts'
import type { TestServer } from './server.ts'
import type { Browser, Page } from './user-agent.ts'

export interface ProviderUser {
  sub: string
  email?: string
  email_verified?: boolean
  name?: string
}

export interface TestProvider {
  issuer: string
  /** The environment for the server under test. */
  env: Record<string, string>
  /** Adds a person, who signs in there by `sub`, or changes one. */
  set(user: ProviderUser): void
  stop(): Promise<void>
  /** Again, on the same port. */
  start(): Promise<void>
}

const CLIENT_ID = 'mcp-oauth-server'
const CLIENT_SECRET = 'a-secret-of-the-tests-0123456789'
const HOUR = 3600

/** @param redirectUri Registered there; the port does not count. */
export async function startProvider(redirectUri = 'http://localhost/auth/callback/oidc'): Promise<TestProvider> {
  const users = new Map<string, ProviderUser>()
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  const key = { ...(await exportJWK(privateKey)), kid: 'test', use: 'sig', alg: 'RS256' }
  const callback = await quietly(async () => {
    const { default: Provider } = await import('oidc-provider')
    return new Provider(issuer, {
      clients: [
        {
          client_id: CLIENT_ID,
          client_secret: CLIENT_SECRET,
          // Native, so that the port is free: the server under test chooses its own.
          application_type: 'native',
          redirect_uris: [redirectUri],
        },
      ],
      pkce: { required: () => true },
      claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
      findAccount: (_: unknown, sub: string) => users.has(sub) && { accountId: sub, claims: () => users.get(sub) },
      jwks: { keys: [key] },
      cookies: { keys: ['a key of the tests'] },
      ttl: { AccessToken: HOUR, AuthorizationCode: 60, Grant: HOUR, IdToken: HOUR, Interaction: HOUR, Session: HOUR },
    }).callback()
  })
  let http: Server
  async function start(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    http = createServer(callback).listen(port, '127.0.0.1', resolve)
    await promise
  }
  await start()
  return {
    issuer,
    env: { OIDC_ISSUER: issuer, OIDC_CLIENT_ID: CLIENT_ID, OIDC_CLIENT_SECRET: CLIENT_SECRET, OIDC_NAME: 'Test OP' },
    set: user => void users.set(user.sub, user),
    start,
    async stop() {
      const { promise, resolve } = Promise.withResolvers<void>()
      http.close(() => resolve())
      http.closeAllConnections()
      await promise
    },
  }
}

/** The package warns about everything that is fine in a test but not in a deployment. */
export async function quietly<T>(work: () => Promise<T>): Promise<T> {
  const { info, warn } = console
  Object.assign(console, { info: () => {}, warn: () => {} })
  try {
    return await work()
  } finally {
    Object.assign(console, { info, warn })
  }
}

/** From our sign-in page, through login and consent at the provider, to just before the callback. @returns its URL. */
export async function signInAtProvider(
  browser: Browser,
  server: TestServer,
  sub: string,
  returnTo?: string,
): Promise<string> {
  const query = returnTo === undefined ? '' : `?return_to=${encodeURIComponent(returnTo)}`
  const start = await browser.visit(`${server.base}/auth/signin${query}`)
  const stopBefore = `${server.base}/auth/callback/`
  let page: Page = await browser.press(start, '/auth/signin/oidc', {}, { stopBefore })
  for (const action of ['login', 'consent']) {
    if (page.html.includes(`name="prompt" value="${action}"`))
      page = await browser.press(page, '/interaction/', { login: sub, password: 'any' }, { stopBefore })
  }
  if (!page.url.startsWith(stopBefore)) throw new Error(`the provider stopped at ${page.url} with ${page.status}`)
  return page.url
}

/** The whole flow. @returns where it ended. */
export async function signInThrough(
  browser: Browser,
  server: TestServer,
  sub: string,
  returnTo?: string,
): Promise<Page> {
  return browser.visit(await signInAtProvider(browser, server, sub, returnTo))
}
