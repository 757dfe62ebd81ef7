/**
 * An MCP server on SDK 2.x for both eras, or with `--only-2026` for 2026-07-28 alone. It uses the low-level `Server`,
 * because that lists the catalogue unchanged; `McpServer` would build its own schemas and prompts.
 */
import { randomBytes } from 'node:crypto'
import {
  CLIENT_CAPABILITIES_META_KEY,
  type ClientCapabilities,
  createMcpHandler,
  createRequestStateCodec,
  INVALID_PARAMS,
  inputRequired,
  isLegacyRequest,
  type McpRequestContext,
  ProtocolError,
  ResourceNotFoundError,
  Server,
  type ServerContext,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { type Behaviour, openBehaviour } from './behaviour.ts'
import { type Asked, type Call, type Change, isAsked } from './call.ts'
import { INSTRUCTIONS, RESOURCES, TEMPLATES, WATCHED } from './catalogue.ts'
import { type Fixture, run } from './serve.ts'
import { openSessions } from './sessions.ts'

const CAPABILITIES = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { subscribe: true },
  completions: {},
  logging: {},
}

type Era = McpRequestContext['era']

/** A session, or the connection over stdio; in 2026-07-28 each HTTP request has its own server. */
interface Connection {
  server: Server
  era: Era
  watches: boolean
}

const codec = createRequestStateCodec({ key: randomBytes(32) })

function openFixture(only2026: boolean): Fixture {
  const connections = new Set<Connection>()
  const behaviour = openBehaviour(async change => {
    tellListeners[change]()
    await Promise.all([...connections].map(connection => tell(connection, change)))
  })
  const handler = createMcpHandler(() => buildServer(behaviour), { legacy: 'reject' })
  const tellListeners: Record<Change, () => void> = {
    tools: handler.notify.toolsChanged,
    prompts: handler.notify.promptsChanged,
    'watched resource': () => handler.notify.resourceUpdated(WATCHED),
  }

  function connect(era: Era): Server {
    const connection: Connection = { server: buildServer(behaviour), era, watches: false }
    connections.add(connection)
    connection.server.onclose = () => connections.delete(connection)
    if (era === 'legacy') addSubscriptions(connection)
    return connection.server
  }

  // The SDK's handler serves the eras before 2026-07-28 only without sessions, so it is not used for them.
  const serveSession = openSessions(async options => {
    const transport = new WebStandardStreamableHTTPServerTransport(options)
    await connect('legacy').connect(transport)
    return transport
  })
  return {
    serveStdio() {
      serveStdio(({ era }) => connect(era), { legacy: only2026 ? 'reject' : 'serve' })
    },
    async fetch(request) {
      const isSession = !only2026 && (await isLegacyRequest(request))
      return isSession ? serveSession(request) : handler.fetch(request)
    },
  }
}

function buildServer(behaviour: Behaviour): Server {
  const server = new Server(
    { name: 'fixture-sdk2', title: 'Fixture on SDK 2', version: '1.0.0' },
    {
      instructions: INSTRUCTIONS,
      capabilities: CAPABILITIES,
      requestState: { verify: codec.verify },
      // No resources are added, so anybody may cache that list; the others change.
      cacheHints: { 'resources/list': { ttlMs: 60_000, cacheScope: 'public' } },
    },
  )
  server.setRequestHandler('tools/list', () => ({ tools: [...behaviour.listTools()] }))
  server.setRequestHandler('prompts/list', () => ({ prompts: [...behaviour.listPrompts()] }))
  server.setRequestHandler('resources/list', () => ({ resources: [...RESOURCES] }))
  server.setRequestHandler('resources/templates/list', () => ({ resourceTemplates: [...TEMPLATES] }))
  server.setRequestHandler('tools/call', async ({ params }, context) =>
    conclude(await behaviour.callTool(params.name, callOf(server, params, context)), context, 'tool'),
  )
  server.setRequestHandler('prompts/get', async ({ params }, context) =>
    conclude(await behaviour.getPrompt(params.name, callOf(server, params, context)), context, 'prompt'),
  )
  server.setRequestHandler('resources/read', ({ params: { uri } }) => {
    const result = behaviour.readResource(uri)
    if (!result) throw new ResourceNotFoundError(uri)
    return result
  })
  server.setRequestHandler('completion/complete', ({ params }) => {
    const values = behaviour.complete(params)
    return { completion: { values, total: values.length, hasMore: false } }
  })
  return server
}

/** For the eras before 2026-07-28; since then the SDK's listen streams do it. */
function addSubscriptions(connection: Connection): void {
  const watch = (uri: string, watches: boolean) => {
    if (uri === WATCHED) connection.watches = watches
    return {}
  }
  connection.server.setRequestHandler('resources/subscribe', ({ params }) => watch(params.uri, true))
  connection.server.setRequestHandler('resources/unsubscribe', ({ params }) => watch(params.uri, false))
}

/** In 2026-07-28 the SDK notifies only listeners, whatever is sent; before, updates are for subscribers. */
async function tell({ server, era, watches }: Connection, change: Change): Promise<void> {
  if (change === 'tools') return server.sendToolListChanged()
  if (change === 'prompts') return server.sendPromptListChanged()
  if (era === 'modern' || watches) return server.sendResourceUpdated({ uri: WATCHED })
}

/** A result as the SDK wants it: questions with their state sealed; before 2026-07-28 the SDK asks them one by one. */
async function conclude<Result extends object>(
  outcome: Result | Asked | undefined,
  context: ServerContext,
  kind: string,
) {
  if (!outcome) throw new ProtocolError(INVALID_PARAMS, `There is no such ${kind}`)
  if (!isAsked(outcome)) return outcome
  const { ask: inputRequests, state } = outcome
  if (state === undefined) return inputRequired({ inputRequests })
  return inputRequired({ inputRequests, requestState: await codec.mint(state, context) })
}

function callOf(server: Server, params: { arguments?: Record<string, unknown> }, context: ServerContext): Call {
  const { mcpReq, http } = context
  const progressToken = mcpReq._meta?.progressToken
  return {
    args: params.arguments ?? {},
    capabilities: capabilitiesOf(server, context),
    answers: mcpReq.inputResponses ?? {},
    state: mcpReq.requestState(),
    meta: mcpReq._meta ?? {},
    header: name => http?.req?.headers.get(name) ?? null,
    log: mcpReq.log,
    async progress(progress, total) {
      if (progressToken === undefined) return
      await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total } })
    },
  }
}

function capabilitiesOf(server: Server, { mcpReq }: ServerContext): ClientCapabilities {
  // The SDK declares the type of the envelope without its keys.
  const envelope = mcpReq.envelope as Record<string, ClientCapabilities | undefined> | undefined
  return envelope?.[CLIENT_CAPABILITIES_META_KEY] ?? server.getClientCapabilities() ?? {}
}

await run(openFixture)
