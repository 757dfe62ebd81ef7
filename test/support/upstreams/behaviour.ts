/** What the fixture servers do: one implementation for every SDK. */
import type {
  CallToolResult,
  CompleteRequestParams,
  GetPromptResult,
  ReadResourceResult,
} from '@modelcontextprotocol/server'
import { type Asked, type Call, type Change, text } from './call.ts'
import { ADDED_PROMPT, ADDED_TOOL, PNG, PROMPTS, TOOLS, WATCHED, WAV } from './catalogue.ts'
import { askContext, QUESTIONS } from './questions.ts'

export interface Behaviour {
  listTools(): typeof TOOLS
  listPrompts(): typeof PROMPTS
  /** @returns undefined if there is no such tool, as the others do. */
  callTool(name: string, call: Call): Promise<CallToolResult | Asked | undefined>
  getPrompt(name: string, call: Call): Promise<GetPromptResult | Asked | undefined>
  readResource(uri: string): ReadResourceResult | undefined
  /** @returns the values that can complete an argument. */
  complete(params: CompleteRequestParams): string[]
}

const IMAGE = { type: 'image' as const, data: PNG, mimeType: 'image/png' }
const content = (...blocks: CallToolResult['content']): CallToolResult => ({ content: blocks })
const pause = () => Bun.sleep(50)

type Act = (call: Call) => CallToolResult | Promise<CallToolResult>

const ACTS: Record<string, Act> = {
  test_simple_text: () => content(text('This is a simple text response for testing.')),
  test_image_content: () => content(IMAGE),
  test_audio_content: () => content({ type: 'audio', data: WAV, mimeType: 'audio/wav' }),
  test_embedded_resource: () =>
    content(embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')),
  test_multiple_content_types: () =>
    content(
      text('Multiple content types test:'),
      IMAGE,
      embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
    ),
  async test_tool_with_logging({ log }) {
    await log('info', 'Tool execution started')
    await pause()
    await log('info', 'Tool processing data')
    await pause()
    await log('info', 'Tool execution completed')
    return content(text('Logged three messages'))
  },
  async test_tool_with_progress({ progress }) {
    await progress(0, 100)
    await pause()
    await progress(50, 100)
    await pause()
    await progress(100, 100)
    return content(text('Reported progress three times'))
  },
  test_error_handling: () => ({
    ...content(text('This tool intentionally returns an error for testing')),
    isError: true,
  }),
  async test_logging_tool({ log }) {
    await log('info', 'Diagnostic message')
    return content(text('Logged one message'))
  },
  json_schema_2020_12_tool: ({ args }) => content(text(JSON.stringify(args))),
  test_header_parameter: ({ args, header }) =>
    content(text(JSON.stringify({ region: args.region, header: header('mcp-param-region') }))),
  test_every_field({ args, meta }) {
    const double = Number(args.number) * 2
    return {
      content: [
        {
          ...text(String(double)),
          annotations: { audience: ['assistant'], priority: 1 },
          _meta: { 'example.com/of-the-text': 1 },
        },
        { type: 'resource_link', uri: 'test://static-text', name: 'static-text', mimeType: 'text/plain' },
      ],
      structuredContent: { double },
      _meta: { 'example.com/of-the-request': meta['example.com/of-the-request'] ?? null },
    }
  },
}

function embedded(uri: string, mimeType: string, words: string) {
  return { type: 'resource' as const, resource: { uri, mimeType, text: words } }
}

const PROMPT_TEXTS: Record<string, (args: Call['args']) => GetPromptResult['messages'][number]['content'][]> = {
  test_simple_prompt: () => [text('This is a simple prompt for testing.')],
  test_prompt_with_arguments: args => [text(`Prompt with arguments: arg1='${args.arg1}', arg2='${args.arg2}'`)],
  test_prompt_with_embedded_resource: args => [
    embedded(String(args.resourceUri), 'text/plain', 'Embedded resource content for testing.'),
    text('Please process the embedded resource above.'),
  ],
  test_prompt_with_image: () => [IMAGE, text('Please analyze the image above.')],
}

const asUser = (contents: GetPromptResult['messages'][number]['content'][]): GetPromptResult => ({
  messages: contents.map(content => ({ role: 'user', content })),
})

/** @param tell Called after a change, to notify every client that wants to know. */
export function openBehaviour(tell: (change: Change) => Promise<void>): Behaviour {
  // Shared by all connections of the process.
  const world = { toolAdded: false, promptAdded: false, updates: 0 }
  const acts: typeof ACTS = {
    ...ACTS,
    async test_trigger_tool_change() {
      world.toolAdded = !world.toolAdded
      await tell('tools')
      return content(text(world.toolAdded ? 'Added a tool' : 'Took the tool away'))
    },
    async test_trigger_prompt_change() {
      world.promptAdded = !world.promptAdded
      await tell('prompts')
      return content(text(world.promptAdded ? 'Added a prompt' : 'Took the prompt away'))
    },
    async test_trigger_resource_update() {
      world.updates++
      await tell('watched resource')
      return content(text(`Updated ${world.updates} times`))
    },
  }
  return {
    listTools: () => (world.toolAdded ? [...TOOLS, ADDED_TOOL] : TOOLS),
    listPrompts: () => (world.promptAdded ? [...PROMPTS, ADDED_PROMPT] : PROMPTS),
    async callTool(name, call) {
      if (world.toolAdded && name === ADDED_TOOL.name) return content(text('Has been added'))
      return (acts[name] ?? QUESTIONS[name])?.(call)
    },
    async getPrompt(name, call) {
      if (world.promptAdded && name === ADDED_PROMPT.name) return asUser([text('Has been added')])
      if (name !== 'test_input_required_result_prompt') {
        const write = PROMPT_TEXTS[name]
        return write && asUser(write(call.args))
      }
      const context = askContext(call)
      return typeof context === 'string' ? asUser([text(`Prompt with context: ${context}`)]) : context
    },
    readResource(uri) {
      const of = (mimeType: string, words: string) => ({ contents: [{ uri, mimeType, text: words }] })
      if (uri === 'test://static-text') return of('text/plain', 'This is the content of the static text resource.')
      if (uri === 'test://static-binary') return { contents: [{ uri, mimeType: 'image/png', blob: PNG }] }
      if (uri === WATCHED) return of('text/plain', `Updated ${world.updates} times`)
      const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1]
      if (id === undefined) return undefined
      return of('application/json', JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }))
    },
    complete({ ref, argument }) {
      const values = ref.type === 'ref/prompt' ? ['paris', 'park', 'party'] : ['123', '124', '200']
      return values.filter(value => value.startsWith(argument.value))
    },
  }
}
