/**
 * An MCP server on SDK 1.x, which speaks 2025-11-25 and before. It uses the low-level `Server`, because that lists the
 * catalogue unchanged; `McpServer` wants zod schemas and builds its own from them.
 */

import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js'
import {
  CallToolRequestSchema,
  CompleteRequestSchema,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  type LoggingLevel,
  LoggingLevelSchema,
  McpError,
  ReadResourceRequestSchema,
  type ServerNotification,
  type ServerRequest,
  SetLevelRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { type Behaviour, openBehaviour } from './behaviour.ts'
import { type Asked, type Call, type Change, isAsked, type Question } from './call.ts'
import { INSTRUCTIONS, RESOURCES, TEMPLATES, WATCHED } from './catalogue.ts'
import { type Fixture, run } from './serve.ts'
import { openSessions } from './sessions.ts'

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>

/** A session, or the connection over stdio. */
interface Connection {
  server: Server
  /** The least severe level that the client wants to see. */
  level: LoggingLevel
  watches: boolean
}

const CAPABILITIES = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { subscribe: true },
  completions: {},
  logging: {},
}
const INVALID_PARAMS = -32602
const RESOURCE_NOT_FOUND = -32002
/** As SDK 2.x. */
const MAX_ROUNDS = 8
/** People think for longer than the SDK waits. */
const PATIENCE = { timeout: 600_000 }

function openFixture(only2026: boolean): Fixture {
  if (only2026) throw new Error('SDK 1.x does not speak 2026-07-28')
  const connections = new Set<Connection>()
  const behaviour = openBehaviour(async change => {
    await Promise.all([...connections].map(connection => tell(connection, change)))
  })

  function connect(): Server {
    const connection: Connection = { server: buildServer(), level: 'debug', watches: false }
    const { server } = connection
    connections.add(connection)
    server.onclose = () => connections.delete(connection)
    addLists(server, behaviour)
    addCalls(connection, behaviour)
    addSettings(connection)
    return server
  }

  return {
    serveStdio: () => connect().connect(new StdioServerTransport()),
    fetch: openSessions(async options => {
      const transport = new WebStandardStreamableHTTPServerTransport(options)
      await connect().connect(transport)
      return transport
    }),
  }
}

function buildServer(): Server {
  return new Server(
    { name: 'fixture-sdk1', title: 'Fixture on SDK 1', version: '1.0.0' },
    { instructions: INSTRUCTIONS, capabilities: CAPABILITIES },
  )
}

async function tell({ server, watches }: Connection, change: Change): Promise<void> {
  if (change === 'tools') return server.sendToolListChanged()
  if (change === 'prompts') return server.sendPromptListChanged()
  if (watches) return server.sendResourceUpdated({ uri: WATCHED })
}

function addLists(server: Server, behaviour: Behaviour): void {
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [...behaviour.listTools()] }))
  server.setRequestHandler(ListPromptsRequestSchema, () => ({ prompts: [...behaviour.listPrompts()] }))
  server.setRequestHandler(ListResourcesRequestSchema, () => ({ resources: [...RESOURCES] }))
  server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: [...TEMPLATES] }))
  server.setRequestHandler(CompleteRequestSchema, ({ params }) => {
    const values = behaviour.complete(params)
    return { completion: { values, total: values.length, hasMore: false } }
  })
}

function addCalls(connection: Connection, behaviour: Behaviour): void {
  const { server } = connection
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
    const call = callOf(connection, params, extra)
    try {
      return await conclude(server, extra, call, 'tool', () => behaviour.callTool(params.name, call))
    } catch (error) {
      if (error instanceof McpError && error.code === INVALID_PARAMS) throw error
      // A client that cannot answer, or does not: the result tells the model.
      return { content: [{ type: 'text', text: (error as Error).message }], isError: true }
    }
  })
  server.setRequestHandler(GetPromptRequestSchema, ({ params }, extra) => {
    const call = callOf(connection, params, extra)
    return conclude(server, extra, call, 'prompt', () => behaviour.getPrompt(params.name, call))
  })
  server.setRequestHandler(ReadResourceRequestSchema, ({ params: { uri } }) => {
    const result = behaviour.readResource(uri)
    if (!result) throw new McpError(RESOURCE_NOT_FOUND, 'Resource not found', { uri })
    return result
  })
}

function addSettings(connection: Connection): void {
  const { server } = connection
  server.setRequestHandler(SetLevelRequestSchema, ({ params }) => {
    connection.level = params.level
    return {}
  })
  const watch = (uri: string, watches: boolean) => {
    if (uri === WATCHED) connection.watches = watches
    return {}
  }
  server.setRequestHandler(SubscribeRequestSchema, ({ params }) => watch(params.uri, true))
  server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => watch(params.uri, false))
}

/** Runs a call, asking the client one question after the other, until there is a result. */
async function conclude<Result extends object>(
  server: Server,
  extra: Extra,
  call: Call,
  kind: string,
  attempt: () => Promise<Result | Asked | undefined>,
): Promise<Result> {
  for (let round = 0; round <= MAX_ROUNDS; round++) {
    const outcome = await attempt()
    if (!outcome) throw new McpError(INVALID_PARAMS, `There is no such ${kind}`)
    if (!isAsked(outcome)) return outcome
    for (const [key, question] of Object.entries(outcome.ask)) call.answers[key] = await ask(server, extra, question)
    call.state = outcome.state
  }
  throw new Error('The client was asked too often')
}

/** @throws Error if the client did not declare that it can answer, or answers with an error. */
function ask(server: Server, extra: Extra, question: Question): Promise<object> {
  const options = { ...PATIENCE, relatedRequestId: extra.requestId, signal: extra.signal }
  if (question.method === 'roots/list') return server.listRoots({}, options)
  if (question.method === 'sampling/createMessage') return server.createMessage(question.params, options)
  return server.elicitInput(question.params, options)
}

function callOf(
  connection: Connection,
  params: { arguments?: Record<string, unknown>; _meta?: Record<string, unknown> },
  { sendNotification, requestInfo, _meta }: Extra,
): Call {
  const progressToken = _meta?.progressToken
  const levels = LoggingLevelSchema.options
  return {
    args: params.arguments ?? {},
    capabilities: connection.server.getClientCapabilities() ?? {},
    answers: {},
    state: undefined,
    meta: params._meta ?? {},
    header: name => [requestInfo?.headers[name] ?? null].flat()[0] ?? null,
    // The SDK's own logging has no request, so the message would arrive on the session's stream.
    async log(level, data) {
      if (levels.indexOf(level) < levels.indexOf(connection.level)) return
      await sendNotification({ method: 'notifications/message', params: { level, data } })
    },
    async progress(progress, total) {
      if (progressToken === undefined) return
      await sendNotification({ method: 'notifications/progress', params: { progressToken, progress, total } })
    },
  }
}

await run(openFixture)
