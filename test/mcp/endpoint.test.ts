import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { deviceTokens, modernRpc, registerClient, rpc, signIn } from '../support/flows.ts'
import { sendRaw } from '../support/raw.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let token: string
let ada: string
let client: string

beforeAll(async () => {
  server = await startServer()
  client = await registerClient(server)
  ada = await signIn(server)
  token = (await deviceTokens(server, client, ada)).access_token
})
afterAll(() => server.close())

const challenge = (path: string, error?: string) =>
  `Bearer resource_metadata="${server.base}/.well-known/oauth-protected-resource${path}", scope="mcp:tools:read mcp:tools:call"${error ? `, error="${error}"` : ''}`
const endpoint = () => `${server.base.replace('localhost', '127.0.0.1')}/mcp`
const bearer = (value: string) => ({ Authorization: `Bearer ${value}` })
const withScope = async (scope: string) => (await deviceTokens(server, client, ada, { scope })).access_token

describe('without a valid token (RFC 6750 3, RFC 9728 5.1)', () => {
  test.each(['/mcp', '/api/sse'])('%s answers 401 with the challenge, to POST and to GET', async path => {
    const post = await server.postJson(path, { jsonrpc: '2.0', id: 1, method: 'initialize' })
    expect([post.status, post.headers.get('www-authenticate')]).toEqual([401, challenge(path)])
    const get = await server.get(path, { Accept: 'text/event-stream' })
    expect([get.status, get.headers.get('www-authenticate')]).toEqual([401, challenge(path)])
    expect(post.headers.get('access-control-expose-headers')).toContain('WWW-Authenticate')
    expect(post.headers.get('access-control-allow-origin')).toBe('*')
  })

  test.each([
    ['garbage', 'x'],
    [
      'a token of another key',
      `${Buffer.from('{"alg":"ES256","typ":"at+jwt","kid":"x"}').toString('base64url')}.e30.${'A'.repeat(86)}`,
    ],
    ['alg none', `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.e30.`],
    ['a refresh token', `mrt_${'A'.repeat(43)}`],
  ])('%s is 401 invalid_token', async (_, value) => {
    const answer = await rpc(server, value, 'tools/list')
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, challenge('/mcp', 'invalid_token')])
  })

  test('a changed signature, payload or header is refused', async () => {
    const [head, body, signature] = token.split('.') as [string, string, string]
    const changed = JSON.parse(Buffer.from(body, 'base64url').toString())
    const admin = Buffer.from(JSON.stringify({ ...changed, scope: 'mcp admin' })).toString('base64url')
    const typed = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(head, 'base64url').toString()), typ: 'JWT' }),
    ).toString('base64url')
    const flipped = (signature[0] === 'A' ? 'B' : 'A') + signature.slice(1)
    for (const value of [
      `${head}.${admin}.${signature}`,
      `${typed}.${body}.${signature}`,
      `${head}.${body}.${flipped}`,
      `${head}.${body}.`,
      `${token}.x`,
    ]) {
      expect((await rpc(server, value, 'tools/list')).status).toBe(401)
    }
  })

  test('a token in the query string or the body is never read', async () => {
    expect(
      (
        await server.postJson(`/mcp?access_token=${token}`, {
          jsonrpc: '2.0',
          id: 1,
          method: 'tools/list',
          access_token: token,
        })
      ).status,
    ).toBe(401)
  })

  test('the hub refuses tokens for another resource; /api/sse accepts the hub’s', async () => {
    const other = (await deviceTokens(server, client, ada, { resource: `${server.base}/api/sse` })).access_token
    expect((await rpc(server, other, 'tools/list')).status).toBe(401)
    expect((await rpc(server, other, 'tools/list', {}, '/api/sse')).status).toBe(200)
    expect((await rpc(server, token, 'tools/list', {}, '/api/sse')).status).toBe(200)
  })

  test('an expired token is refused', async () => {
    const short = await withScope('mcp:tools:read mcp:tools:call offline_access')
    server.clock.advance(3601)
    expect((await rpc(server, short, 'tools/list')).status).toBe(401)
    token = (await deviceTokens(server, client, ada)).access_token
  })
})

describe('scopes (RFC 6750 3.1, MCP authorization "Scope Challenge Handling")', () => {
  test.each([
    ['tools/call', 'mcp:tools:read', 'mcp:tools:call', { name: 'whoami', arguments: {} }],
    ['tools/list', 'mcp:tools:call', 'mcp:tools:read', {}],
  ])('%s with %s alone is 403 and names %s', async (method, scope, needed, params) => {
    const answer = await rpc(server, await withScope(scope), method, params)
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
      403,
      `Bearer resource_metadata="${server.base}/.well-known/oauth-protected-resource/mcp", scope="${needed}", error="insufficient_scope"`,
    ])
    expect(await answer.json()).toEqual({
      error: 'insufficient_scope',
      error_description: `This request needs the scope ${needed}`,
    })
  })

  test.each([
    'prompts/list',
    'prompts/get',
    'resources/list',
    'resources/templates/list',
    'resources/read',
    'completion/complete',
  ])('%s, which this server does not have, is -32601 and no question for more scope', async method => {
    for (const scope of ['mcp:tools:read', 'mcp'])
      for (const [ask, status] of [
        [rpc, 200],
        [modernRpc, 404],
      ] as const) {
        const answer = await ask(server, await withScope(scope), method, {})
        expect([answer.status, await answer.json()]).toEqual([
          status,
          { jsonrpc: '2.0', id: 1, error: { code: -32601, message: 'Method not found' } },
        ])
      }
  })

  test('mcp implies the narrower scopes', async () => {
    const wide = await withScope('mcp')
    expect((await rpc(server, wide, 'tools/list')).status).toBe(200)
    expect((await rpc(server, wide, 'tools/call', { name: 'whoami', arguments: {} })).status).toBe(200)
  })

  test('a call hidden in a batch needs its scope, too', async () => {
    const narrow = await withScope('mcp:tools:read')
    const batch = [
      { jsonrpc: '2.0', id: 1, method: 'tools/list' },
      { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'whoami', arguments: {} } },
    ]
    expect((await server.postJson('/mcp', batch, bearer(narrow))).status).toBe(403)
  })
})

describe('transport safety (MCP Streamable HTTP, "Security")', () => {
  const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' }

  test.each([
    ['a foreign Origin', { Origin: 'https://evil.example' }, 403],
    ['the Origin null', { Origin: 'null' }, 403],
    ['a foreign Host on a loopback bind', { Host: 'evil.example' }, 403],
    ['our own Origin', { Origin: 'BASE' }, 200],
    ['a browser-based client on this machine', { Origin: 'http://localhost:6274' }, 200],
  ])('%s', async (_, headers: Record<string, string>, status) => {
    const filled = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, value.replace('BASE', server.base)]),
    )
    expect((await server.postJson('/mcp', list, { ...bearer(token), ...filled })).status).toBe(status)
  })

  test.each([
    ['POST', '/mcp'],
    ['GET', '/mcp'],
    ['DELETE', '/mcp'],
    ['POST', '/api/sse'],
    ['GET', '/api/sse'],
    ['DELETE', '/api/sse'],
    ['GET', '/sse'],
    ['POST', '/messages?sessionId=x'],
  ])('%s %s refuses a foreign Origin and a foreign Host, with a good token and without one', async (method, path) => {
    for (const foreign of [{ Origin: 'https://evil.example' }, { Host: 'evil.example' }] as Record<string, string>[]) {
      for (const given of [bearer(token), {}]) {
        const answer = await fetch(server.base.replace('localhost', '127.0.0.1') + path, {
          method,
          headers: { Accept: 'text/event-stream', 'Content-Type': 'application/json', ...given, ...foreign },
          ...(method === 'POST' ? { body: JSON.stringify(list) } : {}),
        })
        expect([answer.status, answer.headers.get('content-type')]).toEqual([403, 'application/json;charset=utf-8'])
      }
    }
  })

  test.each([
    ['not JSON', '{', 400, -32700],
    ['nothing', '', 400, -32700],
    ['not an object', '5', 400, -32600],
    ['nested too deeply', '['.repeat(100) + ']'.repeat(100), 400, -32600],
    ['larger than 4 MiB', `"${'x'.repeat(4 * 1024 * 1024)}"`, 413, -32600],
  ])('a body that is %s gets a JSON-RPC error', async (_, body, status, code) => {
    const answer = await fetch(endpoint(), {
      method: 'POST',
      body,
      headers: { ...bearer(token), 'Content-Type': 'application/json' },
    })
    expect([answer.status, ((await answer.json()) as { error: { code: number } }).error.code]).toEqual([status, code])
  })

  describe('the header MCP-Protocol-Version', () => {
    const send = async (message: object, headers: string[]) => {
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, ...message })
      const lines = [
        'Host: localhost',
        `Authorization: Bearer ${token}`,
        'Content-Type: application/json',
        `Content-Length: ${body.length}`,
        'Connection: close',
        ...headers,
      ]
      return sendRaw(server.base, `POST /mcp HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`)
    }
    const version = (value: string) => `MCP-Protocol-Version: ${value}`
    const ping = { method: 'ping' }
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
    }
    const discover = { method: 'server/discover', params: { _meta } }

    test('repeated as proxies do it counts once, and empty counts as absent', async () => {
      for (const headers of [
        [version('2025-11-25'), version('2025-11-25')],
        [version('2025-11-25, 2025-11-25')],
        [version('')],
        [version(''), version('2025-06-18')],
        [version('2025-11-25'), 'Mcp-Session-Id:'],
      ])
        expect((await send(ping, headers)).status).toBe(200)
      const method = 'Mcp-Method: server/discover'
      expect((await send(discover, [version('2026-07-28'), version('2026-07-28'), method, method])).status).toBe(200)
      expect((await send(discover, [version(''), method])).status).toBe(400)
    })

    test.each([
      ['2025-06-18', '2025-11-25'],
      ['2025-11-25', '2026-07-28'],
      ['2026-07-28', '2025-11-25'],
      ['2025-11-25', 'x'],
    ])('that says both %s and %s is refused', async (...given) => {
      const values = given as string[]
      const headers = values.map(version)
      const initialize = { method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {} } }
      for (const message of [ping, initialize, discover]) {
        const { status, body } = await send(message, headers)
        expect([status, JSON.parse(body).error.code]).toEqual([400, -32600])
      }
      const batch = await server.postJson('/mcp', [{ jsonrpc: '2.0', id: 1, ...ping }], {
        ...bearer(token),
        'MCP-Protocol-Version': values.join(', '),
      })
      expect(batch.status).toBe(400)
    })
  })

  test('another content type is 415', async () => {
    const answer = await fetch(endpoint(), {
      method: 'POST',
      body: JSON.stringify(list),
      headers: { ...bearer(token), 'Content-Type': 'text/plain' },
    })
    expect(answer.status).toBe(415)
  })

  test('a million levels of nesting do not harm the next request', async () => {
    const answer = await fetch(endpoint(), {
      method: 'POST',
      body: '['.repeat(1_000_000),
      headers: { ...bearer(token), 'Content-Type': 'application/json' },
    })
    expect(answer.status).toBe(400)
    expect((await server.postJson('/mcp', list, bearer(token))).status).toBe(200)
  })
})

describe('what the JSON-RPC 2.0 specification says about', () => {
  test.each([
    ['tools/call', {}],
    ['tools/call', { name: 'whoami', arguments: 5 }],
    ['tools/list', { cursor: 5 }],
  ])('params that are not valid, of %s: -32602, in our words, in both eras', async (method, params) => {
    const wide = await withScope('mcp')
    const headers = { 'Mcp-Name': 'whoami' }
    for (const answer of [
      await rpc(server, wide, method, params),
      await modernRpc(server, wide, method, params, { headers }),
    ]) {
      const { error } = (await answer.json()) as { error: unknown }
      expect(error).toEqual({ code: -32602, message: `Invalid params for ${method}` })
    }
  })

  test.each([
    ['params', { method: 'tools/list', params: null }],
    ['a cursor', { method: 'tools/list', params: { cursor: null } }],
    ['_meta', { method: 'tools/list', params: { _meta: null } }],
    ['a progress token', { method: 'tools/list', params: { _meta: { progressToken: null } } }],
    ['arguments', { method: 'tools/call', params: { name: 'whoami', arguments: null } }],
    ['an error beside it', { method: 'ping', error: null, result: null }],
  ])('a member that is null: as if it were absent (%s)', async (_, message) => {
    const answer = await server.postJson('/mcp', { jsonrpc: '2.0', id: 1, ...message }, bearer(token))
    expect(await answer.json()).toMatchObject({ id: 1, result: {} })
  })

  test('a notification whose id is null: still a notification', async () => {
    const message = { jsonrpc: '2.0', id: null, method: 'notifications/initialized', params: null }
    expect((await server.postJson('/mcp', message, bearer(token))).status).toBe(202)
  })

  test('missing params of logging/setLevel and initialize: -32602, with our message', async () => {
    for (const message of [{ method: 'logging/setLevel' }, { method: 'initialize', params: { protocolVersion: 5 } }]) {
      const answer = await server.postJson('/mcp', { jsonrpc: '2.0', id: 1, ...message }, bearer(token))
      expect(await answer.json()).toEqual({
        jsonrpc: '2.0',
        id: 1,
        error: { code: -32602, message: `Invalid params for ${message.method}` },
      })
    }
  })

  test.each([
    ['a version that is not served', { method: 'ping' }, { 'MCP-Protocol-Version': '1999-01-01' }, -32000],
    [
      'a media type that only looks like JSON',
      { method: 'ping' },
      { 'Content-Type': 'application/json-patch+json' },
      -32000,
    ],
    [
      'initialize in a batch',
      [
        { method: 'initialize', id: 1 },
        { method: 'ping', id: 2 },
      ],
      {},
      -32600,
    ],
  ])('%s, without a session, is refused', async (_, message, headers: Record<string, string>, code) => {
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } }
    const complete = (item: object) => ({ jsonrpc: '2.0', id: 1, params, ...item })
    const body = Array.isArray(message) ? message.map(complete) : complete(message)
    const answer = await server.postJson('/mcp', body, { ...bearer(token), ...headers })
    expect([answer.status, ((await answer.json()) as { error: { code: number } }).error.code]).toEqual([
      'Content-Type' in headers ? 415 : 400,
      code,
    ])
  })

  test('a batch: a response for each request, even in a batch of one, and none for notifications alone', async () => {
    const ask = async (...batch: object[]) => {
      const answer = await server.postJson(
        '/mcp',
        batch.map(item => ({ jsonrpc: '2.0', ...item })),
        bearer(token),
      )
      return [answer.status, await answer.text()] as const
    }
    const [status, text] = await ask({ id: 1, method: 'ping' })
    expect([status, JSON.parse(text)]).toEqual([200, [{ jsonrpc: '2.0', id: 1, result: {} }]])
    const [, both] = await ask({ id: 1, method: 'ping' }, { id: 'b', method: 'nonsense' })
    expect(JSON.parse(both)).toHaveLength(2)
    expect(JSON.parse(both)).toContainEqual({ jsonrpc: '2.0', id: 1, result: {} })
    expect(JSON.parse(both)).toContainEqual({
      jsonrpc: '2.0',
      id: 'b',
      error: { code: -32601, message: 'Method not found' },
    })
    expect(await ask({ method: 'notifications/initialized' })).toEqual([202, ''])
  })
})

describe('leniency (the README’s example client)', () => {
  test.each([undefined, '*/*', 'application/json'])(
    'Accept %p is answered in JSON; a bare initialize as the oldest revision',
    async accept => {
      const headers: Record<string, string> = { ...bearer(token), ...(accept ? { Accept: accept } : {}) }
      const answer = await server.postJson('/api/sse', { jsonrpc: '2.0', id: 1, method: 'initialize' }, headers)
      expect([answer.status, answer.headers.get('content-type')?.split(';')[0]]).toEqual([200, 'application/json'])
      expect(await answer.json()).toMatchObject({
        id: 1,
        result: { protocolVersion: '2024-11-05', serverInfo: { name: 'mcp-oauth-server' } },
      })
    },
  )

  test('GET /api/sse lists all endpoints for anybody, as absolute URLs', async () => {
    const answer = await server.get('/api/sse')
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({
      name: 'mcp-oauth-server',
      version: '0.1.0',
      endpoints: {
        device: `${server.base}/api/oauth/device`,
        deviceToken: `${server.base}/api/oauth/device/token`,
        verificationUrl: `${server.base}/auth/device`,
      },
      auth: {
        flows: {
          device_authorization: {
            deviceUrl: `${server.base}/api/oauth/device`,
            tokenUrl: `${server.base}/api/oauth/device/token`,
            verificationUrl: `${server.base}/auth/device`,
          },
        },
      },
    })
  })

  test('GET with a token is 405 where there is no stream, and does not hang', async () => {
    expect((await server.get('/mcp', { ...bearer(token), Accept: 'text/event-stream' })).status).toBe(405)
  })
})
