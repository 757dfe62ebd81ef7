/** Every pair of eras, over both upstream transports: an SDK client gets through the gateway what it gets directly. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { Client, LOG_LEVEL_META_KEY, type LoggingLevel } from '@modelcontextprotocol/client'
import { callerOf, frontOf, startGateway, type TestGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { PROMPTS, RESOURCES, TEMPLATES, TOOLS, WATCHED } from '../support/upstreams/catalogue.ts'
import { startUpstream, stdioEntry, type Upstream } from '../support/upstreams/start.ts'

type Era = 'legacy' | 'modern'
type Wire = 'stdio' | 'http'

const VALUES: Record<string, unknown> = {
  name: 'Ada',
  color: 'blue',
  ok: true,
  username: 'ada',
  email: 'ada@example.com',
  context: 'a test',
  age: 36,
  score: 1.5,
  status: 'inactive',
  verified: false,
  untitledSingle: 'option2',
  titledSingle: 'value2',
  legacyEnum: 'opt2',
  untitledMulti: ['option1', 'option3'],
  titledMulti: ['value3'],
}

async function connect({ gateway }: TestGateway, endpoint: string | undefined, era: Era, principal = 'ada') {
  const mode = era === 'legacy' ? ('legacy' as const) : { pin: '2026-07-28' }
  const client = new Client(
    { name: 'test', version: '1.0.0' },
    { capabilities: { elicitation: {}, sampling: {}, roots: {} }, versionNegotiation: { mode } },
  )
  client.setRequestHandler('elicitation/create', ({ params }) => {
    if (params.mode === 'url') throw new Error('only forms are expected')
    const keys = Object.keys(params.requestedSchema.properties)
    return { action: 'accept', content: Object.fromEntries(keys.map(key => [key, VALUES[key]])) as never }
  })
  client.setRequestHandler('sampling/createMessage', () => ({
    role: 'assistant',
    model: 'a-model',
    content: { type: 'text', text: 'said by the model' },
  }))
  client.setRequestHandler('roots/list', () => ({ roots: [{ uri: 'file:///a' }, { uri: 'file:///b' }] }))
  await client.connect(frontOf(gateway, endpoint, callerOf(principal)))
  return {
    client,
    async watch(uri: string) {
      const told = new Map<string, number>()
      let another = Promise.withResolvers<void>()
      for (const method of [
        'notifications/tools/list_changed',
        'notifications/prompts/list_changed',
        'notifications/resources/updated',
      ] as const)
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
    const { client } = connection
    expect((await client.listTools()).tools).toEqual([...TOOLS])
    expect((await client.listPrompts()).prompts).toEqual([...PROMPTS])
    expect((await client.listResources()).resources).toEqual([...RESOURCES])
    expect((await client.listResourceTemplates()).resourceTemplates).toEqual([...TEMPLATES])
  })

  test('sends the client every request that a server can send', async () => {
    await using connection = await connect(front, 'fixture', era)
    const answer = async (tool: string, args: Record<string, unknown> = {}) => {
      const { content } = await connection.client.callTool({ name: tool, arguments: args })
      return content.map(block => (block.type === 'text' ? block.text : block.type)).join()
    }
    expect(await answer('test_sampling', { prompt: 'Hello' })).toBe('LLM response: said by the model')
    expect(await answer('test_elicitation', { message: 'Who?' })).toBe(
      'User response: action: accept, content: {"username":"ada","email":"ada@example.com"}',
    )
    expect(await answer('test_elicitation_sep1330_enums')).toBe(
      'Elicitation completed: action=accept, content={"untitledSingle":"option2","titledSingle":"value2",' +
        '"legacyEnum":"opt2","untitledMulti":["option1","option3"],"titledMulti":["value3"]}',
    )
    expect(await answer('test_input_required_result_elicitation')).toBe('Hello, Ada!')
    expect(await answer('test_input_required_result_sampling')).toBe('LLM response: said by the model')
    expect(await answer('test_input_required_result_list_roots')).toBe('Roots: file:///a file:///b')
    expect(await answer('test_input_required_result_request_state')).toBe('state-ok')
    expect(await answer('test_input_required_result_multiple_inputs')).toBe(
      'said by the model Ada, file:///a file:///b',
    )
    expect(await answer('test_input_required_result_multi_round')).toBe('Ada likes blue')
    expect(await answer('test_input_required_result_tampered_state')).toBe('integrity-ok')
    const prompt = await connection.client.getPrompt({ name: 'test_input_required_result_prompt' })
    expect(prompt.messages).toEqual([{ role: 'user', content: { type: 'text', text: 'Prompt with context: a test' } }])
  })

  test('keeps every field of a result', async () => {
    await using connection = await connect(front, 'fixture', era)
    const result = await connection.client.callTool({
      name: 'test_every_field',
      arguments: { number: 21 },
      _meta: { 'example.com/of-the-request': { kept: true } },
    })
    expect(result).toMatchObject({
      content: [
        {
          type: 'text',
          text: '42',
          annotations: { audience: ['assistant'], priority: 1 },
          _meta: { 'example.com/of-the-text': 1 },
        },
        { type: 'resource_link', uri: 'test://static-text', name: 'static-text', mimeType: 'text/plain' },
      ],
      structuredContent: { double: 42 },
      _meta: { 'example.com/of-the-request': { kept: true } },
    })
  })

  test('logs and reports progress to the client that asked for it', async () => {
    await using connection = await connect(front, 'fixture', era)
    const { client } = connection
    const logged: unknown[] = []
    client.setNotificationHandler('notifications/message', ({ params }) => void logged.push(params))
    const call = (tool: string, level?: LoggingLevel) =>
      client.callTool({ name: tool, ...(level && era === 'modern' ? { _meta: { [LOG_LEVEL_META_KEY]: level } } : {}) })
    if (era === 'legacy') await client.setLoggingLevel('warning')
    await call('test_tool_with_logging', 'warning')
    expect(logged).toEqual([])
    if (era === 'legacy') await client.setLoggingLevel('info')
    await call('test_tool_with_logging', 'info')
    expect(logged).toEqual([
      { level: 'info', data: 'Tool execution started' },
      { level: 'info', data: 'Tool processing data' },
      { level: 'info', data: 'Tool execution completed' },
    ])
    const reported: unknown[] = []
    client.setNotificationHandler('notifications/progress', ({ params: { progressToken, progress, total } }) => {
      reported.push([progressToken, progress, total])
    })
    await client.callTool({ name: 'test_tool_with_progress', _meta: { progressToken: 'mine' } })
    await until(() => reported.length >= 3)
    expect(reported).toEqual([0, 50, 100].map(progress => ['mine', progress, 100]))
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
