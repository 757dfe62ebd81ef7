/** Answers of clients that reach a different replica from the one that asked. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { CreateMessageRequestSchema, ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { sweep } from '../../src/sweeper.ts'
import { startDealer } from '../support/dealer.ts'
import { modernRpc } from '../support/flows.ts'
import { type Front, startFront, startFrontReplica, tokenFor } from '../support/front.ts'
import { type Scripted, startScripted } from '../support/scripted.ts'
import { onPostgres, type TestServer } from '../support/server.ts'
import { openStream } from '../support/streams.ts'

const FORM = { message: 'Your name?', requestedSchema: { type: 'object', properties: {} } }
const said = (value: unknown) => ({ content: [{ type: 'text', text: JSON.stringify(value) }] })

let upstream: Scripted
let one: Front
let two: Front
let token: string
beforeAll(async () => {
  upstream = startScripted({
    tools: [{ name: 'elicit' }, { name: 'sample' }, { name: 'wait' }],
    async answer({ params }, line) {
      if (params?.name === 'wait') return undefined
      const sampling = { messages: [], maxTokens: 1 }
      const { result, error } =
        params?.name === 'sample'
          ? await line.ask('sampling/createMessage', sampling)
          : await line.ask('elicitation/create', FORM)
      return said(result ?? error)
    },
  })
  const servers = { scripted: upstream.entry }
  one = await startFront(servers)
  if (onPostgres) two = await startFrontReplica(one, servers)
  token = await tokenFor(one, 'scripted')
})
afterAll(async () => {
  await two?.close()
  await one.close()
  upstream[Symbol.dispose]()
})

const PATH = '/mcp/scripted'
const HELLO = {
  protocolVersion: '2025-11-25',
  capabilities: { elicitation: {}, sampling: {} },
  clientInfo: { name: 'test', version: '1' },
}
const headers = (session?: string, bearer = token) => ({
  Authorization: `Bearer ${bearer}`,
  Accept: 'application/json, text/event-stream',
  ...(session ? { 'Mcp-Session-Id': session } : {}),
})

async function begin(on: TestServer, bearer = token): Promise<string> {
  const answer = await on.postJson(
    PATH,
    { jsonrpc: '2.0', id: 0, method: 'initialize', params: HELLO },
    headers(undefined, bearer),
  )
  await answer.text()
  return answer.headers.get('mcp-session-id')!
}

let nextId = 1

/** Calls a tool. @returns its stream, and the id of the question that came on it. */
async function ask(on: TestServer, session: string) {
  const call = { jsonrpc: '2.0', id: nextId++, method: 'tools/call', params: { name: 'elicit' } }
  const stream = await openStream(on.postJson(PATH, call, headers(session)), new AbortController())
  const [, question] = /"id":"([0-9a-f-]{36})"/.exec(await stream.readUntil('elicitation/create')) ?? []
  return { stream, question: question! }
}

const reply = (on: TestServer, session: string, id: string, name: string, bearer = token) =>
  on.postJson(PATH, { jsonrpc: '2.0', id, result: { action: 'accept', content: { name } } }, headers(session, bearer))

const rows = async (): Promise<{ content: Uint8Array }[]> => one.deps.sql`select content from session_messages`

describe.if(onPostgres)('with two replicas', () => {
  test('an answer that reaches the other one is handed over; its row is sealed, and swept', async () => {
    const session = await begin(one)
    const { stream, question } = await ask(one, session)
    expect((await reply(two, session, question, 'Ada Lovelace')).status).toBe(202)
    expect(await stream.readUntil('"result"')).toContain('Ada Lovelace')
    const stored = await rows()
    expect(stored).toHaveLength(1)
    expect(Buffer.from(stored[0]!.content).toString('latin1')).not.toContain('Lovelace')
    one.clock.advance(61)
    await sweep(one.deps)
    expect(await rows()).toEqual([])
  })

  test('so is one that arrives while the notification channel is down', async () => {
    const session = await begin(one)
    const { stream, question } = await ask(one, session)
    await one.deps.sql`
      select pg_terminate_backend(pid)
      from pg_stat_activity
      where datname = current_database()
        and pid <> pg_backend_pid()
        and query ~* '^(listen |select 1$)'`
    expect((await reply(two, session, question, 'Grace Hopper')).status).toBe(202)
    expect(await stream.readUntil('"result"')).toContain('Grace Hopper')
  })

  test('nobody else’s answer is: another session’s, or another person’s', async () => {
    const session = await begin(one)
    const { stream, question } = await ask(one, session)
    const second = await begin(two)
    expect((await reply(two, second, question, 'of a second session')).status).toBe(202)
    const bob = await tokenFor(one, 'scripted', 'mcp', 'bob@example.com')
    expect((await reply(two, session, question, 'of Bob', bob)).status).toBe(404)
    expect((await reply(two, await begin(two, bob), question, 'of Bob', bob)).status).toBe(202)
    expect((await reply(two, session, crypto.randomUUID(), 'to another question')).status).toBe(202)
    await reply(two, session, question, 'mine')
    const text = await stream.rest()
    expect(text).toContain('mine')
    expect(text).not.toContain('of ')
  })

  test('a cancellation ends the call on the other one, and its stream', async () => {
    const session = await begin(one)
    const id = nextId++
    const call = { jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'wait' } }
    const stream = await openStream(one.postJson(PATH, call, headers(session)), new AbortController())
    while (upstream.of('tools/call').at(-1)?.params?.name !== 'wait') await Bun.sleep(5)
    await two.postJson(
      PATH,
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id } },
      headers(session),
    )
    expect(await stream.rest()).not.toContain('"result"')
    while (one.records.at(-1)?.outcome !== 'cancelled') await Bun.sleep(5)
  })

  test('an SDK 1 client whose requests are dealt to both in turn answers questions', async () => {
    const dealer = startDealer(one.port, two.port)
    const client = new ClientV1({ name: 'test', version: '1' }, { capabilities: { elicitation: {}, sampling: {} } })
    client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: { name: 'Grace' } }))
    client.setRequestHandler(CreateMessageRequestSchema, () => ({
      role: 'assistant',
      model: 'a-model',
      content: { type: 'text', text: 'from the model' },
    }))
    const authorization = { Authorization: `Bearer ${token}` }
    await client.connect(new TransportV1(new URL(`${dealer.url}${PATH}`), { requestInit: { headers: authorization } }))
    for (let i = 0; i < 4; i++) {
      const elicited = await client.callTool({ name: 'elicit' })
      expect(JSON.stringify(elicited.content)).toContain('Grace')
      const sampled = await client.callTool({ name: 'sample' })
      expect(JSON.stringify(sampled.content)).toContain('from the model')
    }
    await client.close()
    await dealer.close()
  })

  test('the retry of a call that the other one holds is -32602', async () => {
    const capabilities = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: {} } }
    const retry = (on: TestServer, more: object) =>
      modernRpc(
        { ...on, base: `http://localhost:${on.port}` },
        token,
        'tools/call',
        { name: 'elicit', ...more },
        { path: PATH, meta: capabilities },
      )
    const { result } = (await (await retry(one, {})).json()) as { result: Record<string, unknown> }
    const { requestState, inputRequests } = result
    const [key] = Object.keys(inputRequests as object)
    const answer = { requestState, inputResponses: { [key!]: { action: 'accept', content: { name: 'Ada' } } } }
    const elsewhere = await retry(two, answer)
    expect([elsewhere.status, await elsewhere.json()]).toEqual([
      200,
      {
        jsonrpc: '2.0',
        id: 1,
        error: { code: -32602, message: 'This request is no longer waiting for an answer; start it again' },
      },
    ])
    const calls = upstream.of('tools/call').length
    expect(await (await retry(one, answer)).text()).toContain('Ada')
    expect(upstream.of('tools/call')).toHaveLength(calls)
  })

  test('answers to nothing are kept up to a limit for each connection', async () => {
    one.clock.advance(61)
    await sweep(one.deps)
    const session = await begin(two)
    for (let i = 0; i < 150; i++) await reply(two, session, crypto.randomUUID(), 'nothing')
    while ((await rows()).length < 120) await Bun.sleep(20)
    await Bun.sleep(50) // there are no more
    expect(await rows()).toHaveLength(120)
  })
})

test.if(!onPostgres)('the embedded database has one process, and stores no answer', async () => {
  const session = await begin(one)
  const { stream, question } = await ask(one, session)
  await reply(one, session, crypto.randomUUID(), 'to nothing')
  await reply(one, session, question, 'Ada')
  expect(await stream.rest()).toContain('Ada')
  expect(await rows()).toEqual([])
})
