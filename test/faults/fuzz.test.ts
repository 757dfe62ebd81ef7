import { afterAll, beforeAll, expect, test } from 'bun:test'
import { createApp } from '../../src/app.ts'
import { DEVICE_CODE_GRANT } from '../../src/oauth/grants/types.ts'
import { deviceTokens, registerClient, signIn, type TokenAnswer } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
/** In every nasty value, to find it again where it must not be repeated. */
const CANARY = 'zqx'
const TEXTS = [
  ' ',
  `${CANARY}\u0000`,
  `${CANARY}\r\nX-Injected: 1`,
  `"><script>${CANARY}</script>`,
  `'; drop table users; -- ${CANARY}`,
  `../../${CANARY}`,
  `%00%zz%${CANARY}`,
  CANARY.repeat(1500),
  '-1',
  '1e999',
  '__proto__',
  'constructor',
  'http://localhost:99999/callback',
  `https://[${CANARY}`,
  `https://${CANARY}@127.0.0.1/x`,
  `\u202e\u0301\u{1f600}${CANARY}`,
  `mrt_${'a'.repeat(43)}`,
  `mac_${'a'.repeat(43)}`,
  'eyJhbGciOiJub25lIn0.eyJpc3MiOjUsInN1YiI6NX0.',
]
/** Values that only JSON can say. */
const JSON_TEXTS = [
  'null',
  'true',
  '5',
  '[]',
  '{}',
  '[null]',
  '{"__proto__":{"x":1}}',
  '"\\ud800"',
  `"${CANARY}\\u0000"`,
  `["${CANARY}","${CANARY}"]`,
  `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
]
const BODIES = [
  '',
  '{',
  '[',
  '[]',
  '[[]]',
  '[null]',
  'null',
  '5',
  `"${CANARY}"`,
  '{"a":1,"a":2}',
  '{"__proto__":{"client_id":"x"}}',
  '['.repeat(60_000),
  '%',
  '&&==&=',
  'client_id=a&client_id=b',
  'x=1&'.repeat(100),
  Buffer.from([0xff, 0xfe, 0x00, 0x80]),
]
const PARAMETERS = [
  ...['client_id', 'client_secret', 'client_assertion', 'client_assertion_type', 'grant_type', 'code', 'code_verifier'],
  ...['refresh_token', 'device_code', 'user_code', 'redirect_uri', 'scope', 'state', 'resource', 'response_type'],
  ...[
    'code_challenge',
    'prompt',
    'token',
    'request',
    'csrf',
    'id',
    'decision',
    'return_to',
    'sessionId',
    'error',
    'iss',
  ],
  ...['client_name', 'redirect_uris', 'grant_types', 'jwks', 'jwks_uri', 'token_endpoint_auth_method'],
  ...['jsonrpc', 'method', 'params'],
]

let server: TestServer
let good: Record<string, string>
let registration: Record<string, unknown>
let managed: { client_id: string; registration_access_token: string }
let ada: string
let tokens: TokenAnswer

beforeAll(async () => {
  server = await startServer()
  ada = await signIn(server)
  tokens = await deviceTokens(server, await registerClient(server), ada, { scope: 'mcp' })
  good = {
    client_id: await registerClient(server, {
      grant_types: ['authorization_code', DEVICE_CODE_GRANT],
      redirect_uris: ['http://localhost/callback'],
    }),
    redirect_uri: 'http://localhost/callback',
    response_type: 'code',
    code_challenge: 'a'.repeat(43),
    code_challenge_method: 'S256',
    grant_type: DEVICE_CODE_GRANT,
    decision: 'approve',
  }
  registration = { grant_types: [DEVICE_CODE_GRANT], token_endpoint_auth_method: 'private_key_jwt' }
  managed = (await (
    await server.postJson('/api/oauth/register', { ...registration, token_endpoint_auth_method: 'none' })
  ).json()) as typeof managed
})
afterAll(() => server.close())

interface Shot {
  method: string
  path: string
  body?: string | Buffer | URLSearchParams
  type?: string
  html: boolean
}

/** A good request, but for one parameter. An assertion names the client by itself. */
function form(name: string, text: string): URLSearchParams {
  const { client_id, ...rest } = good
  const params = new URLSearchParams({ ...rest, [name]: text })
  if (name === 'client_assertion') params.set('client_assertion_type', ASSERTION)
  else if (name !== 'client_id') params.set('client_id', client_id!)
  return params
}

function* shots(method: string, route: string): Generator<Shot> {
  for (const text of route.includes(':') ? TEXTS : [])
    yield { method, path: route.replace(/:\w+/g, encodeURIComponent(text.toWellFormed())), html: true }
  const path = route.replace(/:\w+/g, managed.client_id)
  // What takes no parameters gets few; an alias is the same code.
  const thorough = route.startsWith('/api/oauth/')
  let turn = route.length
  for (const name of PARAMETERS) {
    for (const text of TEXTS) {
      turn += 1
      if (!thorough && turn % 6 !== 0) continue
      if (method === 'GET') yield { method, path: `${path}?${form(name, text)}`, html: turn % 2 === 0 }
      else yield { method, path, body: form(name, text), html: turn % 2 === 0 }
    }
    if (method === 'GET') continue
    for (const value of JSON_TEXTS) {
      const { [name]: _, ...rest } = route.includes('register') ? registration : good
      const base = JSON.stringify(rest)
      const nested = name === 'jwks' ? `{"keys":[{"kty":"EC","crv":"P-256","kid":${value}}]}` : value
      const body = `${base.slice(0, -1)},${JSON.stringify(name)}:${nested}}`
      yield { method, path, body, type: 'application/json', html: turn % 2 === 0 }
    }
  }
  if (method === 'GET') return
  for (const body of BODIES)
    for (const type of ['application/json', 'application/x-www-form-urlencoded', 'text/plain'])
      yield { method, path, body, type, html: false }
}

/** The token that opens a route, where one does. */
function bearerOf(path: string): Record<string, string> {
  if (/^\/(mcp|sse|messages|api\/sse)/.test(path)) return { Authorization: `Bearer ${tokens.access_token}` }
  if (path.startsWith('/api/oauth/register/')) return { Authorization: `Bearer ${managed.registration_access_token}` }
  return {}
}

async function problemOf({ method, path, body, type, html }: Shot): Promise<string | undefined> {
  const answer = await fetch(server.base.replace('localhost', '127.0.0.1') + path, {
    method,
    redirect: 'manual',
    ...(body === undefined ? {} : { body }),
    headers: {
      Cookie: ada,
      Accept: html ? 'text/html' : 'application/json',
      ...bearerOf(path),
      ...(type ? { 'Content-Type': type } : {}),
    },
    signal: AbortSignal.timeout(30_000),
  })
  const kind = answer.headers.get('content-type') ?? ''
  if (kind.startsWith('text/event-stream')) {
    await answer.body?.cancel()
    return undefined
  }
  const text = await answer.text()
  if (answer.status >= 500) return `${answer.status} ${text.slice(0, 100)}`
  if (answer.headers.has('x-injected')) return 'an injected header'
  if (answer.status < 400) return undefined
  if (kind.startsWith('text/html')) {
    if (text.includes(`<script>${CANARY}`)) return 'markup came through'
    return text.startsWith('<!doctype html>') && answer.headers.has('content-security-policy') ? undefined : 'no page'
  }
  if (text.includes(CANARY)) return `repeats what was sent: ${text.slice(0, 100)}`
  const { error, error_description, jsonrpc, valid } = JSON.parse(text) as Record<string, unknown>
  if (jsonrpc === '2.0') return typeof (error as { code?: unknown })?.code === 'number' ? undefined : text
  const described = error_description === undefined || /^[\x20-\x7e]+$/.test(String(error_description))
  return (typeof error === 'string' && /^[a-z_]+$/.test(error) && described) || valid === false ? undefined : text
}

test('no route answers malformed input with a 5xx, a hang, another format, or the input itself', async () => {
  const found: string[] = []
  for (const { method, path } of createApp(server.deps).routes.filter(({ method }) =>
    ['GET', 'POST', 'PUT'].includes(method),
  )) {
    server.deps.limits.clear() // so that what lies behind them is reached
    const queue = shots(method, path)
    const worker = async () => {
      for (const shot of queue) {
        const problem = await problemOf(shot).catch(error => String(error))
        if (problem) found.push(`${method} ${shot.path.slice(0, 120)} ${String(shot.body).slice(0, 120)}: ${problem}`)
      }
    }
    await Promise.all(Array.from({ length: 8 }, worker))
  }
  expect(found).toEqual([])
  expect((await server.get('/readyz')).status).toBe(200)
})
