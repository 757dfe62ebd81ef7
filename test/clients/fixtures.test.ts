/** The fixture servers without the gateway: what a client gets directly is what it must get through the gateway. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { hasPassed, type Revision, runRequirements, scoredScenarios } from '../support/conformance.ts'
import {
  answerOf,
  CHANGES,
  type Era,
  expectEveryField,
  expectLists,
  expectLogsAndProgress,
  expectQuestions,
  openEraClient,
  type Wire,
} from '../support/era-client.ts'
import { TOOLS, WATCHED } from '../support/upstreams/catalogue.ts'
import { startUpstream, stdioEntry, UPSTREAMS, type Upstream } from '../support/upstreams/start.ts'

type Running = Awaited<ReturnType<typeof startUpstream>>

describe('the conformance suite, directly over HTTP', () => {
  test.each<[Upstream, Revision, scenarios: number]>([
    ['sdk1', '2025-11-25', 30],
    ['sdk2', '2025-11-25', 30],
    ['sdk2', '2026-07-28', 37],
    ['sdk2-only-2026', '2026-07-28', 37],
  ])('%s passes all that %s scores', async (name, revision, scenarios) => {
    await using running = await startUpstream(name)
    const results = await runRequirements(running, revision)
    expect(results.map(({ scenario }) => scenario)).toEqual(await scoredScenarios(revision))
    expect(results).toHaveLength(scenarios)
    expect(results.filter(result => !hasPassed(result))).toEqual([])
  })

  test('a server of the other era fails, and the result says why', async () => {
    await using running = await startUpstream('sdk1')
    const results = await runRequirements(running, '2026-07-28')
    const stateless = results.find(({ scenario }) => scenario === 'server-stateless')!
    expect(stateless.failed.map(({ check }) => check)).toContain('sep-2575-server-implements-discover')
  })
})

/**
 * A client that answers whatever it is asked.
 * @param server Its own process over stdio, or one that serves HTTP.
 */
async function connect(server: Upstream | Running, era: Era) {
  const client = openEraClient(era)
  const streamOpen = Promise.withResolvers<void>()
  if (typeof server === 'string') {
    streamOpen.resolve()
    await client.connect(new StdioClientTransport(stdioEntry(server)))
  } else {
    const send = async (url: string | URL, init?: RequestInit) => {
      const response = await fetch(url, init)
      if (init?.method === 'GET') streamOpen.resolve()
      return response
    }
    await client.connect(new StreamableHTTPClientTransport(new URL(server.url), { fetch: send }))
  }
  return {
    client,
    /** Subscribes to every change, in the way of the era. @returns the next change of which the client is told. */
    async watch() {
      let told = Promise.withResolvers<string>()
      for (const method of CHANGES)
        client.setNotificationHandler(method, () => {
          told.resolve(method)
          told = Promise.withResolvers()
        })
      if (era === 'modern') {
        await client.listen({ toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: [WATCHED] })
      } else {
        await streamOpen.promise
        await client.subscribeResource({ uri: WATCHED })
      }
      return () => told.promise
    },
    async [Symbol.asyncDispose]() {
      await client.close()
    },
  }
}

const PAIRS: [Upstream, Era, Wire][] = (['stdio', 'http'] as const).flatMap(wire => [
  ['sdk1', 'legacy', wire],
  ['sdk2', 'legacy', wire],
  ['sdk2', 'modern', wire],
  ['sdk2-only-2026', 'modern', wire],
])

describe.each(PAIRS)('%s for a %s client over %s', (name, era, wire) => {
  let server: Upstream | Running = name
  beforeAll(async () => {
    if (wire === 'http') server = await startUpstream(name)
  })
  afterAll(async () => {
    if (typeof server !== 'string') await server[Symbol.asyncDispose]()
  })

  test('lists everything unchanged', async () => {
    await using connection = await connect(server, era)
    await expectLists(connection.client)
  })

  test('sends the client every request that a server can send', async () => {
    await using connection = await connect(server, era)
    await expectQuestions(connection.client)
    expect(await answerOf(connection.client, 'test_elicitation_sep1034_defaults')).toBe(
      'Elicitation completed: action=accept, content={"name":"Ada","age":36,"score":1.5,"status":"inactive","verified":false}',
    )
    expect(await answerOf(connection.client, 'test_input_required_result_capabilities')).toBe(
      'Answered: elicited, sampled',
    )
  })

  test('keeps every field of a result', async () => {
    await using connection = await connect(server, era)
    await expectEveryField(connection.client)
  })

  test('logs and reports progress to the client that asked for it', async () => {
    await using connection = await connect(server, era)
    await expectLogsAndProgress(connection.client, era)
  })

  test('reads the headers of its request', async () => {
    await using connection = await connect(server, era)
    const { client } = connection
    await client.listTools()
    const { content } = await client.callTool({ name: 'test_header_parameter', arguments: { region: 'eu' } })
    const header = wire === 'http' && era === 'modern' ? 'eu' : null
    expect(content).toEqual([{ type: 'text', text: JSON.stringify({ region: 'eu', header }) }])
  })

  test('announces changes, and has changed', async () => {
    await using connection = await connect(server, era)
    const { client } = connection
    const next = await connection.watch()
    const trigger = async (tool: string) => {
      const told = next()
      await client.callTool({ name: tool })
      return told
    }
    expect(await trigger('test_trigger_tool_change')).toBe('notifications/tools/list_changed')
    expect((await client.listTools()).tools.at(-1)?.name).toBe('test_added_tool')
    expect((await client.callTool({ name: 'test_added_tool' })).content).toEqual([
      { type: 'text', text: 'Has been added' },
    ])
    await trigger('test_trigger_tool_change')
    expect((await client.listTools()).tools).toEqual([...TOOLS])
    expect(await trigger('test_trigger_prompt_change')).toBe('notifications/prompts/list_changed')
    expect((await client.listPrompts()).prompts.at(-1)?.name).toBe('test_added_prompt')
    await trigger('test_trigger_prompt_change')
    const before = await client.readResource({ uri: WATCHED })
    expect(await trigger('test_trigger_resource_update')).toBe('notifications/resources/updated')
    expect(await client.readResource({ uri: WATCHED })).not.toEqual(before)
  })
})

describe('of one era', () => {
  test.each<[Upstream, Era, message: string]>([
    ['sdk1', 'modern', 'did not offer pinned protocol version 2026-07-28'],
    ['sdk2-only-2026', 'legacy', 'Unsupported protocol version: 2025-11-25'],
  ])('%s refuses a %s client over stdio and over HTTP', async (name, era, message) => {
    await using running = await startUpstream(name)
    await expect(connect(name, era)).rejects.toThrow(message)
    await expect(connect(running, era)).rejects.toThrow(message)
  })
})

test.each([...UPSTREAMS])('%s ends when its standard input is closed', async name => {
  const { command, args } = stdioEntry(name)
  const child = Bun.spawn([command, ...args], { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' })
  child.stdin.end()
  expect(await child.exited).toBe(0)
})
