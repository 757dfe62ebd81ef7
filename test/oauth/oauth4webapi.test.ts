/** oauth4webapi, a client library that refuses whatever its RFCs do not allow, does every flow against the server. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import * as oauth from 'oauth4webapi'
import { DEVICE_CODE_GRANT } from '../../src/oauth/grants/types.ts'
import { consent, decide, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const TOKEN = 'an initial access token, 32 characters'
const REDIRECT = 'https://app.example/callback'
const SCOPE = 'mcp:tools:read mcp:tools:call'
/** The test server uses http on loopback. */
const http = { [oauth.allowInsecureRequests]: true }

let server: TestServer
let as: oauth.AuthorizationServer
let hub: string
let ada: string

beforeAll(async () => {
  server = await startServer({ INITIAL_ACCESS_TOKEN: TOKEN })
  const issuer = new URL(server.base)
  as = await oauth.processDiscoveryResponse(
    issuer,
    await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...http }),
  )
  hub = `${server.base}/mcp`
  ada = await signIn(server)
})
afterAll(() => server.close())

async function register(metadata: Partial<oauth.OmitSymbolProperties<oauth.Client>>, trusted = false) {
  const asked = trusted ? { ...http, initialAccessToken: TOKEN } : http
  return oauth.processDynamicClientRegistrationResponse(
    await oauth.dynamicClientRegistrationRequest(as, metadata, asked),
  )
}
const registerApp = (metadata: Partial<oauth.OmitSymbolProperties<oauth.Client>> = {}) =>
  register({
    client_name: 'App',
    redirect_uris: [REDIRECT],
    grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE_GRANT],
    token_endpoint_auth_method: 'none',
    ...metadata,
  })

/** The claims of an access token, checked as strictly as by a resource server (RFC 9068 4). */
const checkAccessToken = (token: string, audience = hub) =>
  oauth.validateJwtAccessToken(
    as,
    new Request(audience, { headers: { Authorization: `Bearer ${token}` } }),
    audience,
    http,
  )

/** Code and PKCE, from the authorization URL to the token response. */
async function codeFlow(client: oauth.Client, auth: oauth.ClientAuth, resource = hub) {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: client.client_id,
    redirect_uri: REDIRECT,
    scope: SCOPE,
    state,
    resource,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })
  const callback = oauth.validateAuthResponse(as, client, await consent(server, ada, query.toString()), state)
  const options = { ...http, additionalParameters: { resource } }
  const answer = await oauth.authorizationCodeGrantRequest(as, client, auth, callback, REDIRECT, verifier, options)
  return oauth.processAuthorizationCodeResponse(as, client, answer)
}

const pollOnce = async (client: oauth.Client, code: string) =>
  oauth.processDeviceCodeResponse(as, client, await oauth.deviceCodeGrantRequest(as, client, oauth.None(), code, http))
const refresh = async (
  client: oauth.Client,
  auth: oauth.ClientAuth,
  token: string,
  more: Record<string, string> = {},
) =>
  oauth.processRefreshTokenResponse(
    as,
    client,
    await oauth.refreshTokenGrantRequest(as, client, auth, token, { ...http, additionalParameters: more }),
  )
const credentials = async (client: oauth.Client, auth: oauth.ClientAuth, form: Record<string, string> = {}) =>
  oauth.processClientCredentialsResponse(
    as,
    client,
    await oauth.clientCredentialsGrantRequest(as, client, auth, form, http),
  )
const introspect = async (client: oauth.Client, auth: oauth.ClientAuth, token: string) =>
  oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, auth, token, http))

/** The error that the library throws for an OAuth error response. */
async function oauthError(refused: Promise<unknown>): Promise<[number, string]> {
  const error = await refused.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof oauth.ResponseBodyError)) throw new Error(`not an OAuth error: ${error}`)
  expect(error.error_description).toMatch(/^[\x20-\x7e]+$/)
  return [error.status, error.error]
}

describe('oauth4webapi', () => {
  test('discovers the server by RFC 8414, by openid-configuration, and from the resource (RFC 9728)', async () => {
    const issuer = new URL(server.base)
    const alias = await oauth.discoveryRequest(issuer, { algorithm: 'oidc', ...http })
    expect(await oauth.processDiscoveryResponse(issuer, alias)).toEqual(as)
    for (const resource of [hub, `${server.base}/api/sse`]) {
      const url = new URL(resource)
      const described = await oauth.processResourceDiscoveryResponse(
        url,
        await oauth.resourceDiscoveryRequest(url, http),
      )
      expect(described.authorization_servers).toEqual([as.issuer])
    }
  })

  test('a public client registers, gets a code with PKCE and iss (RFC 9207), and a token for the resource it names', async () => {
    const client = await registerApp()
    const tokens = await codeFlow(client, oauth.None())
    expect(tokens).toMatchObject({ token_type: 'bearer', scope: SCOPE, refresh_token: expect.any(String) })
    expect(await checkAccessToken(tokens.access_token)).toMatchObject({ client_id: client.client_id, scope: SCOPE })
    const other = `${server.base}/api/sse`
    const elsewhere = await codeFlow(client, oauth.None(), other)
    expect(await checkAccessToken(elsewhere.access_token, other)).toMatchObject({ aud: other })
    await expect(checkAccessToken(elsewhere.access_token, hub)).rejects.toThrow()
  })

  test.each(['client_secret_basic', 'client_secret_post'] as const)(
    'a confidential client with %s gets a code, refreshes, introspects and revokes',
    async method => {
      const client = await registerApp({ token_endpoint_auth_method: method })
      const secret = String(client.client_secret)
      const auth = method === 'client_secret_basic' ? oauth.ClientSecretBasic(secret) : oauth.ClientSecretPost(secret)
      const first = await codeFlow(client, auth)
      const second = await refresh(client, auth, first.refresh_token!, { scope: 'mcp:tools:read', resource: hub })
      expect(second.scope).toBe('mcp:tools:read')
      expect(await introspect(client, auth, second.access_token)).toMatchObject({ active: true, aud: hub })
      const revoked = await oauth.revocationRequest(as, client, auth, second.refresh_token!, http)
      expect(await oauth.processRevocationResponse(revoked)).toBeUndefined()
      expect(await introspect(client, auth, second.access_token)).toEqual({ active: false })
      expect(await oauthError(refresh(client, auth, second.refresh_token!))).toEqual([400, 'invalid_grant'])
    },
  )

  test('the library recognizes a response from another issuer, and a denial', async () => {
    const client = await registerApp()
    const query = new URLSearchParams({
      response_type: 'code',
      client_id: client.client_id,
      redirect_uri: REDIRECT,
      state: 's',
      code_challenge: await oauth.calculatePKCECodeChallenge(oauth.generateRandomCodeVerifier()),
      code_challenge_method: 'S256',
    }).toString()
    const answer = await consent(server, ada, query)
    answer.searchParams.set('iss', 'https://attacker.example')
    expect(() => oauth.validateAuthResponse(as, client, answer, 's')).toThrow('"iss"')
    answer.searchParams.delete('iss')
    expect(() => oauth.validateAuthResponse(as, client, answer, 's')).toThrow('"iss"')
    const denied = await consent(server, ada, query, 'deny')
    expect(() => oauth.validateAuthResponse(as, client, denied, 's')).toThrow(oauth.AuthorizationResponseError)
  })

  test('the device grant: pending, too fast, approved, used', async () => {
    const client = await registerApp()
    const asked = { scope: SCOPE, resource: hub }
    const answer = await oauth.deviceAuthorizationRequest(as, client, oauth.None(), asked, http)
    const device = await oauth.processDeviceAuthorizationResponse(as, client, answer)
    expect(await oauthError(pollOnce(client, device.device_code))).toEqual([400, 'authorization_pending'])
    expect(await oauthError(pollOnce(client, device.device_code))).toEqual([400, 'slow_down'])
    await decide(server, ada, device.user_code)
    const tokens = await pollOnce(client, device.device_code)
    expect(await checkAccessToken(tokens.access_token)).toMatchObject({ scope: SCOPE, aud: hub })
    expect((await refresh(client, oauth.None(), tokens.refresh_token!)).scope).toBe(SCOPE)
    expect(await oauthError(pollOnce(client, device.device_code))).toEqual([400, 'invalid_grant'])
  })

  test('the client credentials grant with a secret in either place and with a signed assertion (RFC 7523)', async () => {
    const keys = await oauth.generateKeyPair('ES256', { extractable: true })
    const jwks = { keys: [{ ...(await crypto.subtle.exportKey('jwk', keys.publicKey)), kid: 'one' } as oauth.JWK] }
    const machine = (token_endpoint_auth_method: string, more = {}) =>
      register({ grant_types: ['client_credentials'], token_endpoint_auth_method, scope: 'mcp', ...more }, true)
    const [basic, post, signing] = [
      await machine('client_secret_basic'),
      await machine('client_secret_post'),
      await machine('private_key_jwt', { jwks }),
    ]
    const ways: [oauth.Client, oauth.ClientAuth][] = [
      [basic, oauth.ClientSecretBasic(String(basic.client_secret))],
      [post, oauth.ClientSecretPost(String(post.client_secret))],
      [signing, oauth.PrivateKeyJwt({ key: keys.privateKey, kid: 'one' })],
    ]
    for (const [client, auth] of ways) {
      const tokens = await credentials(client, auth, { scope: 'mcp:tools:read', resource: hub })
      expect(tokens.refresh_token).toBeUndefined()
      expect(await checkAccessToken(tokens.access_token)).toMatchObject({ sub: client.client_id })
      expect(await introspect(client, auth, tokens.access_token)).toMatchObject({ active: true })
      await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, tokens.access_token, http))
      expect(await introspect(client, auth, tokens.access_token)).toEqual({ active: false })
    }
  })

  test('the library recognizes refusals as OAuth errors', async () => {
    const client = await registerApp({ token_endpoint_auth_method: 'client_secret_post' })
    const auth = oauth.ClientSecretPost(String(client.client_secret))
    const machine = await register({ grant_types: ['client_credentials'] }, true)
    const good = oauth.ClientSecretBasic(String(machine.client_secret))
    expect(await oauthError(credentials(client, oauth.ClientSecretPost('wrong')))).toEqual([401, 'invalid_client'])
    expect(await oauthError(credentials(client, auth))).toEqual([400, 'unauthorized_client'])
    expect(await oauthError(credentials(machine, good, { scope: 'root' }))).toEqual([400, 'invalid_scope'])
    expect(await oauthError(credentials(machine, good, { resource: 'https://elsewhere.example' }))).toEqual([
      400,
      'invalid_target',
    ])
    expect(await oauthError(registerApp({ redirect_uris: ['javascript:alert(1)'], grant_types: undefined }))).toEqual([
      400,
      'invalid_redirect_uri',
    ])
    // With Basic, and for an endpoint that wants a token, the answer is a challenge that the library can parse.
    const noToken = () => oauth.protectedResourceRequest('no-token', 'POST', new URL(hub), undefined, null, http)
    const wrongInitialToken = async () =>
      oauth.processDynamicClientRegistrationResponse(
        await oauth.dynamicClientRegistrationRequest(as, {}, { ...http, initialAccessToken: 'wrong' }),
      )
    for (const [ask, scheme] of [
      [() => credentials(machine, oauth.ClientSecretBasic('wrong')), 'basic'],
      [noToken, 'bearer'],
      [wrongInitialToken, 'bearer'],
    ] as const) {
      const error = await ask().then(
        () => undefined,
        (reason: unknown) => reason,
      )
      if (!(error instanceof oauth.WWWAuthenticateChallengeError)) throw new Error(`not a challenge: ${error}`)
      expect([error.status, error.cause[0]?.scheme]).toEqual([401, scheme])
    }
  })
})
