/** openid-client, the library that many applications sign in with, does every flow against the server. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import * as openid from 'openid-client'
import { DEVICE_CODE_GRANT } from '../../src/oauth/grants/types.ts'
import { consent, decide, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const TOKEN = 'an initial access token, 32 characters'
const REDIRECT = 'https://app.example/callback'
const SCOPE = 'mcp:tools:read mcp:tools:call'
/** The test server uses http on loopback. */
const http = { execute: [openid.allowInsecureRequests] }

let server: TestServer
let hub: string
let ada: string

beforeAll(async () => {
  server = await startServer({ INITIAL_ACCESS_TOKEN: TOKEN })
  hub = `${server.base}/mcp`
  ada = await signIn(server)
})
afterAll(() => server.close())

const APP = {
  client_name: 'App',
  redirect_uris: [REDIRECT],
  grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE_GRANT],
  token_endpoint_auth_method: 'none',
}
const registerApp = (metadata: Partial<openid.ClientMetadata> = {}, auth?: openid.ClientAuth) =>
  openid.dynamicClientRegistration(new URL(server.base), { ...APP, ...metadata }, auth, {
    algorithm: 'oauth2',
    ...http,
  })
const registerMachine = (metadata: Partial<openid.ClientMetadata>, auth?: openid.ClientAuth) =>
  openid.dynamicClientRegistration(
    new URL(server.base),
    { client_name: 'Machine', grant_types: ['client_credentials'], scope: 'mcp', ...metadata },
    auth,
    { algorithm: 'oauth2', initialAccessToken: TOKEN, ...http },
  )

/** Code and PKCE, from the authorization URL to the token response. */
async function codeFlow(config: openid.Configuration, decision?: 'approve' | 'deny') {
  const pkceCodeVerifier = openid.randomPKCECodeVerifier()
  const expectedState = openid.randomState()
  const url = openid.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT,
    scope: SCOPE,
    state: expectedState,
    resource: hub,
    code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  })
  const callback = await consent(server, ada, url.search.slice(1), decision)
  return openid.authorizationCodeGrant(config, callback, { pkceCodeVerifier, expectedState }, { resource: hub })
}

/** The OAuth error that the library throws for a response. */
async function oauthError(refused: Promise<unknown>): Promise<[number | undefined, string]> {
  const error = await refused.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof openid.ResponseBodyError) return [error.status, error.error]
  if (error instanceof openid.AuthorizationResponseError) return [undefined, error.error]
  throw new Error(`not an OAuth error: ${error}`)
}

describe('openid-client', () => {
  test.each(['oauth2', 'oidc'] as const)('discovers the server (%s)', async algorithm => {
    const config = await openid.discovery(new URL(server.base), 'c_any', undefined, openid.None(), {
      algorithm,
      ...http,
    })
    const metadata = config.serverMetadata()
    expect([metadata.issuer, metadata.supportsPKCE()]).toEqual([server.base, true])
    expect(metadata.authorization_response_iss_parameter_supported).toBe(true)
  })

  test.each([
    ['none', undefined],
    ['client_secret_basic', openid.ClientSecretBasic()],
    ['client_secret_post', openid.ClientSecretPost()],
  ])('registers with %s, gets a code, refreshes and revokes', async (method, auth) => {
    const config = await registerApp({ token_endpoint_auth_method: method }, auth)
    const first = await codeFlow(config)
    expect([first.token_type, first.scope, first.expires_in]).toEqual(['bearer', SCOPE, 3600])
    const second = await openid.refreshTokenGrant(config, first.refresh_token!, { resource: hub })
    const called = () =>
      openid.fetchProtectedResource(config, second.access_token, new URL(hub), 'POST', JSON.stringify(PING), JSON_RPC)
    expect((await called()).status).toBe(200)
    if (method !== 'none') {
      const { active, client_id: owner } = await openid.tokenIntrospection(config, second.access_token)
      expect([active, owner]).toEqual([true, config.clientMetadata().client_id])
    }
    await openid.tokenRevocation(config, second.access_token)
    await expect(called()).rejects.toBeInstanceOf(openid.WWWAuthenticateChallengeError)
    expect(await oauthError(openid.refreshTokenGrant(config, second.refresh_token!))).toEqual([400, 'invalid_grant'])
  })

  test('reports a denial as an authorization error', async () => {
    expect(await oauthError(codeFlow(await registerApp(), 'deny'))).toEqual([undefined, 'access_denied'])
  })

  test('the device grant, polled by the library until the user has approved', async () => {
    const config = await registerApp()
    const device = await openid.initiateDeviceAuthorization(config, { scope: SCOPE, resource: hub })
    const polls: string[] = []
    config[openid.customFetch] = async (url, options) => {
      const answer = await fetch(url, options as RequestInit)
      polls.push(answer.ok ? 'tokens' : ((await answer.clone().json()) as { error: string }).error)
      server.clock.advance(device.interval!)
      if (polls.length === 2) await decide(server, ada, device.user_code)
      return answer
    }
    // The server's clock makes the library's waiting unnecessary.
    const tokens = await openid.pollDeviceAuthorizationGrant(config, { ...device, interval: 0 }, { resource: hub })
    expect(polls).toEqual(['authorization_pending', 'authorization_pending', 'tokens'])
    expect(tokens.scope).toBe(SCOPE)
  })

  test('the client credentials grant with a secret in either place and with a signed assertion (RFC 7523)', async () => {
    const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
    const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', keys.publicKey)
    const jwks = { keys: [{ kty: kty!, crv: crv!, x: x!, y: y! }] }
    const machines = [
      await registerMachine({ token_endpoint_auth_method: 'client_secret_post' }),
      await registerMachine({ token_endpoint_auth_method: 'client_secret_basic' }, openid.ClientSecretBasic()),
      await registerMachine(
        { token_endpoint_auth_method: 'private_key_jwt', jwks },
        openid.PrivateKeyJwt(keys.privateKey),
      ),
    ]
    for (const config of machines) {
      const tokens = await openid.clientCredentialsGrant(config, { scope: 'mcp:tools:read', resource: hub })
      expect([tokens.scope, tokens.refresh_token]).toEqual(['mcp:tools:read', undefined])
      const introspected = await openid.tokenIntrospection(config, tokens.access_token)
      expect([introspected.active, introspected.aud]).toEqual([true, hub])
      const foreign = openid.clientCredentialsGrant(config, { resource: 'https://elsewhere.example' })
      expect(await oauthError(foreign)).toEqual([400, 'invalid_target'])
    }
  })
})

const PING = { jsonrpc: '2.0', id: 1, method: 'tools/list' }
const JSON_RPC = new Headers({ 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' })
