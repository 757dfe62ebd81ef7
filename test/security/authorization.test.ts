import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { registerClient, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let ada: string
let client: string
beforeAll(async () => {
  server = await startServer()
  ada = await signIn(server)
  client = await registerClient(server, {
    grant_types: ['authorization_code'],
    redirect_uris: ['http://localhost/callback', 'http://127.0.0.1:8080/callback?a=1', 'https://app.example/callback'],
  })
})
afterAll(() => server.close())

const authorize = (more: Record<string, string>, cookie = ada) =>
  server.get(
    `/api/oauth/authorize?${new URLSearchParams({
      response_type: 'code',
      client_id: client,
      redirect_uri: 'https://app.example/callback',
      code_challenge: 'a'.repeat(43),
      code_challenge_method: 'S256',
      ...more,
    })}`,
    { Cookie: cookie, Accept: 'text/html' },
  )

describe('redirect URIs (RFC 9700 4.1.3, RFC 8252 7.3)', () => {
  test.each([
    'http://localhost:99999/callback',
    'http://localhost:80:80/callback',
    'http://localhost:/callback',
    'http://localhost:80@evil.example/callback',
    'http://localhost@evil.example/callback',
    'http://localhost.evil.example/callback',
    'http://localhost./callback',
    'http://LOCALHOST/callback',
    'http://127.1/callback',
    'http://[::1]/callback',
    'http://localhost/callback/',
    'http://localhost/Callback',
    'http://localhost/x/../callback',
    'http://localhost/%63allback',
    'http://localhost/callback?a=1',
    'http://localhost/callback#x',
    'http://localhost\\@evil.example/callback',
    'http://127.0.0.1:8080/callback',
    'http://127.0.0.1:9/callback?a=1&b=2',
    'https://app.example:443/callback',
    'https://app.example:8443/callback',
    'https://user@app.example/callback',
    'https://app.example/callback?',
    'https:/app.example/callback',
    ' https://app.example/callback',
    'https://app.example/callback\u00a0',
    'https://xn--pp-eka.example/callback',
    '//app.example/callback',
    'javascript:alert(1)',
  ])('%s is not a registered one: a page, never a redirect', async redirect_uri => {
    for (const cookie of [ada, '']) {
      const answer = await authorize({ redirect_uri }, cookie)
      expect([answer.status, answer.headers.get('location')]).toEqual([400, null])
    }
  })

  test('on loopback only the port may differ', async () => {
    for (const redirect_uri of ['http://localhost:1/callback', 'http://127.0.0.1:65535/callback?a=1'])
      expect((await authorize({ redirect_uri })).status).toBe(200)
  })

  test.each([
    'https:evil.example/callback',
    'https:/evil.example/callback',
    'https:///evil.example/callback',
    'https://evil.example;sandbox/callback',
    'https://evil.example,default-src/callback',
    "https://evil'example/callback",
    'https://evil.example/callback?code=mine',
    'https://evil.example/callback?state=mine',
    'https://evil.example/callback?iss=https://other.example',
    'https://evil.example/callback?%63ode=mine',
    'https://evil.example/*',
    'https://user:pass@evil.example/',
    'https://evil.example/#',
    'https://evil.example\\@app.example/',
    'http://evil.example/',
    'http://localhost.evil.example/',
    'http://0.0.0.0/',
    'JavaScript:alert(1)',
    'java\tscript:alert(1)',
    ' javascript:alert(1)',
    'data:text/html,x',
    'blob:https://evil.example/x',
    'view-source:https://evil.example/',
    'https://evil.example/\r\nSet-Cookie: a=b',
    '//evil.example/',
    '/callback',
    '',
  ])('%p is not registered', async uri => {
    const answer = await server.postJson('/api/oauth/register', {
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code'],
      redirect_uris: [uri],
    })
    expect([answer.status, await answer.json()]).toMatchObject([400, { error: 'invalid_redirect_uri' }])
  })
})

describe('what the response carries', () => {
  test('a state with line breaks is refused; any other is returned once, encoded', async () => {
    expect((await authorize({ state: 'a\r\nX-Injected: 1' })).status).toBe(400)
    const answer = await authorize({ state: '&code=evil&iss=evil#"><\u{1f600}', prompt: 'none' })
    const [, href] = /<a href="(https:\/\/app\.example[^"]*)"/.exec(await answer.text())!
    const back = new URL(href!.replaceAll('&amp;', '&'))
    expect([...back.searchParams.keys()]).toEqual(['error', 'error_description', 'state', 'iss'])
    expect([back.origin, back.searchParams.get('state'), back.searchParams.get('iss'), back.hash]).toEqual([
      'https://app.example',
      '&code=evil&iss=evil#"><\u{1f600}',
      server.base,
      '',
    ])
  })

  test('a consent page’s CSP does not name the client: its form leads to this server only', async () => {
    const policy = (await authorize({})).headers.get('content-security-policy')!
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy.split('; ').at(-1)).toBe("form-action 'self'")
    expect(policy).not.toContain(',')
  })
})
