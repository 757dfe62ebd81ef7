/** A client of either era that answers whatever it is asked, and what it gets from a fixture server, directly or through the gateway. */
import { expect } from 'bun:test'
import { Client, LOG_LEVEL_META_KEY, type LoggingLevel } from '@modelcontextprotocol/client'
import { until } from './until.ts'
import { PROMPTS, RESOURCES, TEMPLATES, TOOLS } from './upstreams/catalogue.ts'

export type Era = 'legacy' | 'modern'
export type Wire = 'stdio' | 'http'

const VALUES: Record<string, unknown> = {
  name: 'Ada',
  color: 'blue',
  ok: true,
  value: 'a value',
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

export const CHANGES = [
  'notifications/tools/list_changed',
  'notifications/prompts/list_changed',
  'notifications/resources/updated',
] as const

/** Not connected yet. */
export function openEraClient(era: Era): Client {
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
  return client
}

export async function expectLists(client: Client): Promise<void> {
  expect((await client.listTools()).tools).toEqual([...TOOLS])
  expect((await client.listPrompts()).prompts).toEqual([...PROMPTS])
  expect((await client.listResources()).resources).toEqual([...RESOURCES])
  expect((await client.listResourceTemplates()).resourceTemplates).toEqual([...TEMPLATES])
}

/** The text that a tool answers with. */
export async function answerOf(client: Client, tool: string, args: Record<string, unknown> = {}): Promise<string> {
  const { content } = await client.callTool({ name: tool, arguments: args })
  return content.map(block => (block.type === 'text' ? block.text : block.type)).join()
}

/** Every request that a server can send. */
export async function expectQuestions(client: Client): Promise<void> {
  const answer = (tool: string, args?: Record<string, unknown>) => answerOf(client, tool, args)
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
  expect(await answer('test_input_required_result_multiple_inputs')).toBe('said by the model Ada, file:///a file:///b')
  expect(await answer('test_input_required_result_multi_round')).toBe('Ada likes blue')
  expect(await answer('test_input_required_result_tampered_state')).toBe('integrity-ok')
  const prompt = await client.getPrompt({ name: 'test_input_required_result_prompt' })
  expect(prompt.messages).toEqual([{ role: 'user', content: { type: 'text', text: 'Prompt with context: a test' } }])
}

export async function expectEveryField(client: Client): Promise<void> {
  const result = await client.callTool({
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
}

export async function expectLogsAndProgress(client: Client, era: Era): Promise<void> {
  const logged: unknown[] = []
  client.setNotificationHandler('notifications/message', ({ params }) => void logged.push(params))
  const call = (name: string, level?: LoggingLevel) =>
    client.callTool({ name, ...(level && era === 'modern' ? { _meta: { [LOG_LEVEL_META_KEY]: level } } : {}) })
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
  // Not by `onprogress`: the SDK's client forgets that when the result comes together with the last report.
  const reported: unknown[] = []
  client.setNotificationHandler('notifications/progress', ({ params: { progressToken, progress, total } }) => {
    reported.push([progressToken, progress, total])
  })
  await client.callTool({ name: 'test_tool_with_progress', _meta: { progressToken: 'mine' } })
  await until(() => reported.length >= 3)
  expect(reported).toEqual([0, 50, 100].map(progress => ['mine', progress, 100]))
}
