/** What clients and people do, step by step over HTTP, so that a test contains only what is special about it. */
import { expect } from 'bun:test'
import { createHash, randomBytes } from 'node:crypto'
import { addClient } from '../../src/oauth/clients/index.ts'
import { createSignInLink } from '../../src/signin/service.ts'
import type { TestServer } from './server.ts'

/** A server as its clients see it, in this process or another. */
export type Http = Pick<TestServer, 'base' | 'get' | 'post' | 'postJson'>

export const DEVICE_CODE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

/** Registers a public client. @returns its id. */
export async function registerClient(server: Http, metadata: Record<string, unknown> = {}): Promise<string> {
  const answer = await server.postJson('/api/oauth/register', {
    client_name: 'Test client',
    token_endpoint_auth_method: 'none',
    grant_types: [DEVICE_CODE_GRANT, 'refresh_token'],
    ...metadata,
  })
  expect(answer.status).toBe(201)
  return ((await answer.json()) as { client_id: string }).client_id
}

/** Submits a sign-in form as a browser that has loaded its page does. @param headers Override the browser's. */
export async function sendSignInForm(
  server: Pick<TestServer, 'get' | 'post'>,
  path: string,
  fields: Record<string, string> = {},
  headers: Record<string, string> = {},
): Promise<Response> {
  const { Cookie = '' } = headers
  const shown = await server.get('/auth/signin', { Cookie })
  const [, main] = (await shown.text()).split('<main') // the header has a form of its own
  const csrf = /name="csrf" value="([^"]+)"/.exec(main!)![1]!
  const cookies = [Cookie, ...shown.headers.getSetCookie().map(cookie => cookie.split(';')[0]!)]
  return server.post(path, { csrf, ...fields }, { ...headers, Cookie: cookies.filter(Boolean).join('; ') })
}

/** Signs somebody in with a one-time link. @returns the Cookie header of their browser. */
export async function signIn(server: TestServer, email = 'ada@example.com', { admin = false } = {}): Promise<string> {
  return signInByLink(server, await createSignInLink(server.deps, email, { isAdmin: admin }))
}

/** Opens a one-time link. @returns the Cookie header of the browser. */
export async function signInByLink(server: Http, url: string): Promise<string> {
  const link = new URL(url)
  const answer = await sendSignInForm(server, '/auth/signin/link', { token: link.searchParams.get('token')! })
  expect(answer.status).toBe(303)
  return answer.headers
    .getSetCookie()
    .map(cookie => cookie.split(';')[0])
    .filter(pair => !pair!.endsWith('='))
    .join('; ')
}

export interface DeviceAnswer {
  device_code: string
  user_code: string
  verification_uri: string
  verification_uri_complete: string
  expires_in: number
  interval: number
}

export interface TokenAnswer {
  access_token: string
  token_type: string
  expires_in: number
  refresh_token: string
  scope: string
}

export async function requestDevice(
  server: Http,
  clientId: string,
  more: Record<string, string> = {},
): Promise<DeviceAnswer> {
  const answer = await server.post('/api/oauth/device', {
    client_id: clientId,
    scope: 'mcp:tools:read mcp:tools:call',
    ...more,
  })
  expect(answer.status).toBe(200)
  return (await answer.json()) as DeviceAnswer
}

export function poll(server: Http, clientId: string, deviceCode: string): Promise<Response> {
  return server.post('/api/oauth/token', {
    grant_type: DEVICE_CODE_GRANT,
    client_id: clientId,
    device_code: deviceCode,
  })
}

/** The hidden `csrf` field of a page's form to `action`. */
export function csrfOf(html: string, action: string): string {
  const form = html.split('<form').find(part => part.includes(`action="${action}"`))
  const token = form && /name="csrf" value="([^"]+)"/.exec(form)?.[1]
  if (!token) throw new Error(`the page has no form to ${action}`)
  return token
}

const HTML = { Accept: 'text/html' }

/** The token of the code form that a session has open, by its cookie. */
const openForms = new Map<string, string>()

/** Types a code on the device page, which stays open from one code to the next. */
export async function enterCode(server: Http, cookie: string, code: string): Promise<Response> {
  const csrf = openForms.get(cookie) ?? (await openCodeForm(server, cookie))
  return server.post('/api/oauth/device/verify', { user_code: code, csrf }, { Cookie: cookie, ...HTML })
}

export async function openCodeForm(server: Http, cookie: string): Promise<string> {
  const entry = await server.get('/auth/device', { Cookie: cookie })
  expect(entry.status).toBe(200)
  const csrf = csrfOf(await entry.text(), '/api/oauth/device/verify')
  openForms.set(cookie, csrf)
  return csrf
}

/** Types a code, checks the page that follows, and presses a button. @returns the request page's path. */
export async function decide(
  server: Http,
  cookie: string,
  code: string,
  decision: 'approve' | 'deny' = 'approve',
): Promise<string> {
  const entered = await enterCode(server, cookie, code)
  expect(entered.status).toBe(303)
  const path = entered.headers.get('location')!
  const shown = await server.get(path, { Cookie: cookie })
  expect(shown.status).toBe(200)
  const csrf = csrfOf(await shown.text(), '/api/oauth/device/authorize')
  const form = { id: path.split('/').at(-1)!, decision, csrf }
  const decided = await server.post('/api/oauth/device/authorize', form, { Cookie: cookie, ...HTML })
  expect(decided.status).toBe(303)
  return path
}

/** Presses a button on the consent page. @param query the authorization request. @returns where the browser goes then. */
export async function consent(
  server: Http,
  cookie: string,
  query: string,
  decision: 'approve' | 'deny' = 'approve',
): Promise<URL> {
  const shown = await server.get(`/api/oauth/authorize?${query}`, { Cookie: cookie })
  expect(shown.status).toBe(200)
  const form = { ...consentFields(await shown.text()), decision }
  const decided = await server.post('/api/oauth/authorize/decision', form, { Cookie: cookie, ...HTML })
  expect(decided.status).toBe(200)
  return onwardOf(decided)
}

/** The hidden fields of the consent form. */
export function consentFields(html: string): { request: string; csrf: string } {
  const request = /name="request" value="([^"]+)"/.exec(html)?.[1]
  if (!request) throw new Error('the page has no consent form')
  return { request, csrf: csrfOf(html, '/api/oauth/authorize/decision') }
}

/** Where a page redirects the browser. */
export function onwardOf(answer: Response): URL {
  const [, url] = /^0; url=(.*)$/.exec(answer.headers.get('refresh') ?? '') ?? []
  if (url === undefined) throw new Error(`the answer (${answer.status}) leads nowhere`)
  return new URL(url)
}

export function pkce(): { verifier: string; challenge: string } {
  const verifier = randomBytes(32).toString('base64url')
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') }
}

/** An HTTP Basic Authorization header, not percent-encoded. */
export function basic(id: string, secret: string): Record<string, string> {
  return { Authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` }
}

/** The whole device flow. */
export async function deviceTokens(
  server: Http,
  clientId: string,
  cookie: string,
  more: Record<string, string> = {},
): Promise<TokenAnswer> {
  const device = await requestDevice(server, clientId, more)
  await decide(server, cookie, device.user_code)
  const answer = await poll(server, clientId, device.device_code)
  expect(answer.status).toBe(200)
  return (await answer.json()) as TokenAnswer
}

/** An access token for a new machine. @param scope What the machine may request. @param asked What it does request, if not all. */
export async function machineToken(server: TestServer, scope: string[], asked = scope.join(' ')): Promise<string> {
  const { id, secret } = await addClient(server.deps, {
    name: 'Machine',
    grantTypes: ['client_credentials'],
    redirectUris: [],
    scope,
  })
  const form = { grant_type: 'client_credentials', client_id: id, client_secret: secret!, scope: asked }
  return ((await (await server.post('/api/oauth/token', form)).json()) as TokenAnswer).access_token
}

/** One JSON-RPC request of the 2025 era, without a session. */
export function rpc(
  server: Http,
  token: string,
  method: string,
  params: unknown = {},
  path = '/mcp',
): Promise<Response> {
  return server.postJson(
    path,
    { jsonrpc: '2.0', id: 1, method, params },
    { Authorization: `Bearer ${token}`, Accept: 'application/json, text/event-stream' },
  )
}

/** One request of 2026-07-28, with the headers that it needs. @param more Adds to `_meta`, headers and fetch's options. */
export function modernRpc(
  server: Http,
  token: string,
  method: string,
  params: Record<string, unknown> = {},
  more: {
    meta?: Record<string, unknown>
    headers?: Record<string, string>
    id?: unknown
    signal?: AbortSignal
    path?: string
  } = {},
): Promise<Response> {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
    ...more.meta,
  }
  return fetch(`http://127.0.0.1:${new URL(server.base).port}${more.path ?? '/mcp'}`, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      'MCP-Protocol-Version': '2026-07-28',
      'Mcp-Method': method,
      ...(typeof params.name === 'string' ? { 'Mcp-Name': params.name } : {}),
      ...more.headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: more.id ?? 1, method, params: { ...params, _meta } }),
    ...(more.signal ? { signal: more.signal } : {}),
  })
}
