/** Every pair of eras, over both upstream transports: an SDK client gets through the gateway what it gets directly. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import {
  CHANGES,
  type Era,
  expectEveryField,
  expectLists,
  expectLogsAndProgress,
  expectQuestions,
  openEraClient,
  type Wire,
} from '../support/era-client.ts'
import { callerOf, frontOf, startGateway, type TestGateway } from '../support/gateway.ts'
import { TOOLS, WATCHED } from '../support/upstreams/catalogue.ts'
import { startUpstream, stdioEntry, type Upstream } from '../support/upstreams/start.ts'

async function connect({ gateway }: TestGateway, endpoint: string | undefined, era: Era, principal = 'ada') {
  const client = openEraClient(era)
  await client.connect(frontOf(gateway, endpoint, callerOf(principal)))
  return {
    client,
    async watch(uri: string) {
      const told = new Map<string, number>()
      let another = Promise.withResolvers<void>()
      for (const method of CHANGES)
        client.setNotificationHandler(method, () => {
          told.set(method, (told.get(method) ?? 0) + 1)
          another.resolve()
          another = Promise.withResolvers()
        })
      if (era === 'modern')
        await client.listen({ toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: [uri] })
      else await client.subscribeResource({ uri })
      /** Does something, and waits until the client is notified. */
      return async (method: string, act: () => Promise<unknown>) => {
        const before = told.get(method)
        await act()
        while (told.get(method) === before) await another.promise
      }
    },
    async [Symbol.asyncDispose]() {
      await client.close()
    },
  }
}

const PAIRS: [Upstream, Era, Wire][] = (['http', 'stdio'] as const).flatMap(wire =>
  (['sdk1', 'sdk2', 'sdk2-only-2026'] as const).flatMap(upstream =>
    (['legacy', 'modern'] as const).map((era): [Upstream, Era, Wire] => [upstream, era, wire]),
  ),
)

describe.each(PAIRS)('%s behind the gateway for a %s client over %s', (name, era, wire) => {
  let front: TestGateway
  let running: Awaited<ReturnType<typeof startUpstream>> | undefined
  beforeAll(async () => {
    if (wire === 'http') running = await startUpstream(name)
    front = await startGateway({ fixture: { ...(running ? { url: running.url } : stdioEntry(name)), roots: true } })
  })
  afterAll(async () => {
    await front[Symbol.asyncDispose]()
    await running?.[Symbol.asyncDispose]()
  })

  test('lists everything unchanged', async () => {
    await using connection = await connect(front, 'fixture', era)
    await expectLists(connection.client)
  })

  test('sends the client every request that a server can send', async () => {
    await using connection = await connect(front, 'fixture', era)
    await expectQuestions(connection.client)
  })

  test('keeps every field of a result', async () => {
    await using connection = await connect(front, 'fixture', era)
    await expectEveryField(connection.client)
  })

  test('logs and reports progress to the client that asked for it', async () => {
    await using connection = await connect(front, 'fixture', era)
    await expectLogsAndProgress(connection.client, era)
  })

  test('sends the headers that the upstream wants', async () => {
    await using connection = await connect(front, 'fixture', era)
    const { content } = await connection.client.callTool({
      name: 'test_header_parameter',
      arguments: { region: 'eu' },
    })
    const header = wire === 'http' && name !== 'sdk1' ? 'eu' : null
    expect(content).toEqual([{ type: 'text', text: JSON.stringify({ region: 'eu', header }) }])
  })

  test('announces changes, and has changed', async () => {
    await using connection = await connect(front, 'fixture', era)
    const { client } = connection
    const isTold = await connection.watch(WATCHED)
    const changeTools = () => client.callTool({ name: 'test_trigger_tool_change' })
    const changePrompts = () => client.callTool({ name: 'test_trigger_prompt_change' })
    await isTold('notifications/tools/list_changed', changeTools)
    expect((await client.listTools()).tools.at(-1)?.name).toBe('test_added_tool')
    expect((await client.callTool({ name: 'test_added_tool' })).content).toEqual([
      { type: 'text', text: 'Has been added' },
    ])
    await isTold('notifications/tools/list_changed', changeTools)
    expect((await client.listTools()).tools).toEqual([...TOOLS])
    await isTold('notifications/prompts/list_changed', changePrompts)
    await isTold('notifications/prompts/list_changed', changePrompts)
    const before = await client.readResource({ uri: WATCHED })
    await isTold('notifications/resources/updated', () => client.callTool({ name: 'test_trigger_resource_update' }))
    expect(await client.readResource({ uri: WATCHED })).not.toEqual(before)
  })

  test('reports errors as its era defines them', async () => {
    await using connection = await connect(front, 'fixture', era)
    const { client } = connection
    await expect(client.readResource({ uri: 'test://nowhere' })).rejects.toMatchObject({
      code: -32602,
      data: { uri: 'test://nowhere' },
    })
    await expect(client.callTool({ name: 'no_such_tool' })).rejects.toMatchObject({ code: -32602 })
    expect(await client.callTool({ name: 'test_error_handling' })).toMatchObject({ isError: true })
  })

  test('works the same in the hub, with its name in names and URIs', async () => {
    await using connection = await connect(front, undefined, era)
    const { client } = connection
    const names = (await client.listTools()).tools.map(tool => tool.name)
    expect(names).toEqual(TOOLS.map(tool => `fixture__${tool.name}`).sort())
    const [resource] = (await client.listResources()).resources
    expect(resource?.uri).toBe('mcp+fixture://test///static-text')
    expect((await client.readResource({ uri: resource!.uri })).contents[0]?.uri).toBe(resource!.uri)
    const { content } = await client.callTool({ name: 'fixture__test_every_field', arguments: { number: 1 } })
    expect(content[1]).toMatchObject({ type: 'resource_link', uri: 'mcp+fixture://test///static-text' })
    const { content: asked } = await client.callTool({ name: 'fixture__test_input_required_result_elicitation' })
    expect(asked).toEqual([{ type: 'text', text: 'Hello, Ada!' }])
    const completed = await client.complete({
      ref: { type: 'ref/prompt', name: 'fixture__test_prompt_with_arguments' },
      argument: { name: 'arg1', value: 'te' },
    })
    expect(completed.completion.values).toBeArray()
  })
})
