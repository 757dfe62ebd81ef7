import { heapStats } from 'bun:jsc'
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { connect } from 'node:net'
import { searchAuditLog } from '../../src/audit/search.ts'
import { deviceTokens, registerClient, signIn } from '../support/flows.ts'
import { sendRaw } from '../support/raw.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { openStream } from '../support/streams.ts'
import { until } from '../support/until.ts'

let server: TestServer
let full: string
let narrow: string
beforeAll(async () => {
  server = await startServer({ HOST: '0.0.0.0' })
  const ada = await signIn(server)
  const client = await registerClient(server)
  full = (await deviceTokens(server, client, ada, { scope: 'mcp' })).access_token
  narrow = (await deviceTokens(server, client, ada, { scope: 'mcp:tools:read' })).access_token
})
afterAll(() => server.close())

const send = (body: string, token = narrow, headers: Record<string, string> = {}) =>
  fetch(`${server.base.replace('localhost', '127.0.0.1')}/mcp`, {
    method: 'POST',
    body,
    headers: {
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      ...headers,
    },
    signal: AbortSignal.timeout(30_000),
  })
const CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}'
const META =
  '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}'

describe('a call beyond the token’s scope', () => {
  test.each([
    ['in a batch', `[${CALL}]`],
    ['in a batch among what is none', `[null,5,${CALL}]`],
    ['as a notification', CALL.replace('"id":1,', '')],
    ['with an escaped name', CALL.replace('tools/call', 'tools\\u002fcall')],
    ['in a batch that begins with initialize', `[{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}},${CALL}]`],
  ])('%s is 403', async (_, body) => {
    expect((await send(body)).status).toBe(403)
  })

  test.each([
    ['nested batches', `[[${CALL}]]`],
    ['a method that is an object', CALL.replace('"tools/call"', '{"toString":"tools/call"}')],
    ['a method that is a list', CALL.replace('"tools/call"', '["tools/call"]')],
    ['a message in __proto__', `{"__proto__":${CALL}}`],
    [
      'a method in __proto__',
      '{"jsonrpc":"2.0","id":1,"__proto__":{"method":"tools/call"},"params":{"name":"whoami"}}',
    ],
    ['another spelling', CALL.replace('tools/call', 'Tools/Call')],
    ['white space', CALL.replace('tools/call', 'tools/call ')],
  ])('by %s calls nothing', async (_, body) => {
    const text = await (await send(body)).text()
    expect([text.includes('"error"'), text.includes('ada@example.com')]).toEqual([true, false])
  })

  test('is 403 in 2026-07-28, whatever the headers say', async () => {
    const body = CALL.replace('"arguments":{}', `"arguments":{},${META}`)
    for (const method of ['tools/call', 'ping', 'server/discover']) {
      const headers = { 'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': method, 'Mcp-Name': 'whoami' }
      expect((await send(body, narrow, headers)).status).toBe(403)
    }
  })
})

describe('a batch', () => {
  test('that cancels its own request ends without a response, and does not hang', async () => {
    const cancel = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}'
    const answer = await send(`[${CALL},${cancel}]`, full)
    expect([answer.status, await answer.text()]).toEqual([202, ''])
  })

  test('of more than a hundred messages is refused, over HTTP+SSE too', async () => {
    const body = `[${Array(101).fill(CALL).join(',')}]`
    const stopped = new AbortController()
    const base = server.base.replace('localhost', '127.0.0.1')
    const stream = await fetch(`${base}/sse`, {
      headers: { Authorization: `Bearer ${full}`, Accept: 'text/event-stream' },
      signal: stopped.signal,
    })
    let text = ''
    for (const reader = stream.body!.getReader(); !/data: \S+\n/.test(text); )
      text += new TextDecoder().decode((await reader.read()).value)
    const answers = [
      await send(body, full),
      await fetch(base + /data: (\S+)/.exec(text)![1], {
        method: 'POST',
        body,
        headers: { Authorization: `Bearer ${full}`, 'Content-Type': 'application/json' },
      }),
    ]
    stopped.abort()
    for (const answer of answers)
      expect([answer.status, await answer.json()]).toMatchObject([400, { error: { code: -32600 } }])
  })
})

describe('a foreign Host header', () => {
  test.each(['[::1', '', 'a b', '%zz', 'a:99999999'])(
    '%p, where the server is not bound to loopback, breaks nothing',
    async host => {
      const body = '{"jsonrpc":"2.0","id":1,"method":"ping"}'
      const headers = [`Host: ${host}`, `Authorization: Bearer ${full}`, `Content-Length: ${body.length}`]
      const answer = await sendRaw(
        server.base,
        `POST /mcp HTTP/1.1\r\n${headers.join('\r\n')}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n${body}`,
      )
      expect([answer.status, answer.body.includes('"result":{}')]).toEqual([200, true])
    },
  )
})

describe('a body that would be expensive to parse or to keep', () => {
  const ones = (count: number) => `[${'1,'.repeat(count - 1)}1]`
  const long = 'x'.repeat(100_000)
  const initialize = (params: string) =>
    `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},${params}}}`
  test.each([
    ['two million values', CALL.replace('"arguments":{}', `"arguments":{"a":${ones(2_000_000)}}`), 400],
    ['ten thousand values in a small body', CALL.replace('"arguments":{}', `"arguments":{"a":${ones(10_000)}}`), 400],
    ['initialize with a long name', initialize(`"clientInfo":{"name":"${long}","version":"1"}`), 413],
    [
      'initialize with much that is not valid',
      initialize(`"clientInfo":{"name":"a","version":1,"icons":${ones(9_000)}}`),
      200,
    ],
    [
      'a call among others',
      `[${CALL.replace('"arguments":{}', `"arguments":{"a":"${long}"}`)},{"jsonrpc":"2.0","id":2,"method":"ping"}]`,
      413,
    ],
    ['a long id', CALL.replace('"id":1', `"id":"${'x'.repeat(300)}"`), 400],
    ['a long id in a batch', `[${CALL.replace('"id":1', `"id":"${'x'.repeat(300)}"`)}]`, 400],
  ])('%s is refused', async (_, body, status) => {
    const answer = await send(body, full)
    const { error } = (await answer.json()) as { error: { code: number; message: string } }
    expect([answer.status, error.message.length < 120]).toEqual([status, true])
  })

  test('may be large for a tool call', async () => {
    const answer = await send(CALL.replace('"arguments":{}', `"arguments":{"a":"${'x'.repeat(3_000_000)}"}`), full)
    expect([answer.status, (await answer.text()).includes('ada@example.com')]).toEqual([200, true])
  })

  test('is read for one person at most 32 times at once, which does not affect others', async () => {
    const eve = (await deviceTokens(server, await registerClient(server), await signIn(server, 'eve@example.com')))
      .access_token
    const head = (token: string) =>
      `POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{`
    const sockets = Array.from({ length: 32 }, () => connect(Number(new URL(server.base).port), '127.0.0.1'))
    for (const socket of sockets) socket.write(head(full))
    const large = CALL.replace('"arguments":{}', `"arguments":{"a":"${long}"}`)
    while ((await send(large, full)).status !== 429) await Bun.sleep(20)
    expect((await send(large, eve)).status).toBe(200)
    expect((await send(CALL, full)).status).toBe(200)
    for (const socket of sockets) socket.destroy()
    while ((await send(large, full)).status !== 200) await Bun.sleep(20)
  })
})

test('a token that is revoked while the body arrives is refused', async () => {
  const client = await registerClient(server)
  const own = await deviceTokens(server, client, await signIn(server))
  const socket = connect(Number(new URL(server.base).port), '127.0.0.1')
  let answer = ''
  socket.on('data', chunk => {
    answer += chunk
  })
  const head = `POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${own.access_token}\r\nContent-Type: application/json\r\nContent-Length: ${CALL.length}\r\n\r\n`
  socket.write(head + CALL.slice(0, -1))
  await until(() => server.pendingRequests() > 0)
  await server.post('/api/oauth/revoke', { client_id: client, token: own.refresh_token })
  socket.write('}')
  while (!answer.includes('\r\n')) await Bun.sleep(10)
  expect(answer).toStartWith('HTTP/1.1 401 ')
  socket.destroy()
})

test('endless calls leave room in the audit log for others’ events', async () => {
  const flood = CALL.replace('whoami', 'no_such_tool')
  const batch = `[${Array.from({ length: 100 }, (_, i) => flood.replace('"id":1', `"id":${i}`)).join(',')}]`
  let most = 0
  const rounds = Array.from({ length: 8 }, async () => {
    for (let i = 0; i < 75; i++) {
      await send(batch, full)
      most = Math.max(most, server.deps.audit.waiting)
    }
  })
  await until(() => most > 0)
  const client = await registerClient(server, { client_name: 'Somebody else' })
  const bob = await deviceTokens(server, client, await signIn(server, 'bob@example.com'))
  await server.post('/api/oauth/revoke', { client_id: client, token: bob.refresh_token })
  await Promise.all(rounds)
  const { events } = await searchAuditLog(server.deps, { limit: 1, event: 'grant.revoked', clientId: client })
  expect([events.length, server.deps.audit.dropped]).toEqual([1, 0])
  expect(most).toBeLessThan(6_000) // of the 20,000 that there is room for
}, 60_000)

test.each(['[null]', '{}', '{"jsonrpc":"1.0","id":1,"method":"ping"}', '{"jsonrpc":"2.0","id":1.5,"method":"ping"}'])(
  'what is no message is refused over HTTP+SSE, too: %s',
  async body => {
    const stop = new AbortController()
    const base = server.base.replace('localhost', '127.0.0.1')
    const headers = { Authorization: `Bearer ${full}`, Accept: 'text/event-stream' }
    const stream = await openStream(fetch(`${base}/sse`, { headers, signal: stop.signal }), stop)
    const [, address] = /data: (\S+)/.exec(await stream.readUntil('sessionId='))!
    const answer = await fetch(base + address, {
      method: 'POST',
      body,
      headers: { ...headers, 'Content-Type': 'application/json' },
    })
    expect([answer.status, await answer.json()]).toMatchObject([400, { error: { code: -32600 } }])
    stream.close()
  },
)

describe('a stream', () => {
  test('whose reader goes away leaves no timer behind', async () => {
    const timers = () => {
      Bun.gc(true)
      return (heapStats().objectTypeCounts as Record<string, number>).Timeout ?? 0
    }
    const before = timers()
    for (let i = 0; i < 60; i++) {
      const stopped = new AbortController()
      const stream = await fetch(`${server.base.replace('localhost', '127.0.0.1')}/sse`, {
        headers: { Authorization: `Bearer ${full}`, Accept: 'text/event-stream' },
        signal: stopped.signal,
      })
      await stream.body!.getReader().read()
      stopped.abort()
      if (i % 20 === 19) await Bun.sleep(50) // the server hears of it a moment later
    }
    await until(() => timers() <= before + 20)
  })
})

test.each([
  ['its method', '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}'],
  [
    'a nested name',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","name":"x","arguments":{}}}',
  ],
  ['a name in an escaped spelling', '{"jsonrpc":"2.0","id":1,"\\u0069d":2,"method":"ping"}'],
])('a message with %s twice is refused: parsers differ in which one counts', async (_, body) => {
  const answer = await send(body, full)
  expect([answer.status, await answer.json()]).toEqual([
    400,
    { jsonrpc: '2.0', error: { code: -32700, message: 'The body has a duplicate member' }, id: null },
  ])
})

test('a byte-order mark is not JSON', async () => {
  expect((await send(`\ufeff${CALL}`, full)).status).toBe(400)
})

test('a token spelled differently from the one that was issued is refused', async () => {
  const [head, body, signature] = full.split('.') as [string, string, string]
  const bytes = Buffer.from(signature, 'base64url')
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet.indexOf(signature.at(-1)!)
  for (const other of [
    `${signature}==`,
    `${signature.slice(0, -1)}${alphabet[last ^ 1]}`, // the bits that are left over
    bytes.toString('base64').replaceAll('=', ''),
  ]) {
    if (other === signature) continue // it has neither + nor /
    expect((await send('{"jsonrpc":"2.0","id":1,"method":"ping"}', `${head}.${body}.${other}`)).status).toBe(401)
  }
  expect((await send('{"jsonrpc":"2.0","id":1,"method":"ping"}', full)).status).toBe(200)
})
