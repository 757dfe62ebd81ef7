/** A gateway by itself, behind a minimal front, so that SDK clients can reach it without HTTP and tokens. */
import type { JSONRPCMessage, Transport } from '@modelcontextprotocol/client'
import type { Queries } from '../../sql/index.ts'
import { parseConfig } from '../../src/config.ts'
import { openDeps } from '../../src/deps.ts'
import { openAccounts } from '../../src/gateway/accounts/index.ts'
import { parseServers } from '../../src/gateway/config.ts'
import type {
  CallRecord,
  Exchange,
  Gateway,
  GatewayCaller,
  ListenFilter,
  Listening,
} from '../../src/gateway/exchange.ts'
import { openGateway } from '../../src/gateway/index.ts'
import {
  isObject,
  isRequest,
  isResponse,
  type Message,
  RpcError,
  type RpcNotification,
  type RpcRequest,
} from '../../src/gateway/messages.ts'
import {
  CLIENT_CAPABILITIES,
  CLIENT_INFO,
  MODERN,
  metaOf,
  PROTOCOL_VERSION,
  SERVER_INFO,
  SUBSCRIPTION_ID,
} from '../../src/gateway/protocol.ts'
import { openStdio } from '../../src/gateway/stdio.ts'
import { openSupervisor } from '../../src/gateway/supervisor.ts'
import { openLog } from '../../src/lib/log.ts'
import { migratedDatabase, timeSources } from './server.ts'

export interface TestGateway extends AsyncDisposable {
  gateway: Gateway
  sql: Queries
  /** Events recorded for the audit log. */
  records: CallRecord[]
  /** Replaces the file's content, and reloads it. */
  configure(servers: Record<string, unknown>): Promise<void>
  /** Another gateway on the same database: another replica, or the next start. */
  again(): Promise<TestGateway>
  clock: { advance(ms: number): void }
}

const LOG_LEVEL = process.env.GATEWAY_LOG ?? 'silent'

/** @param servers As in the `mcpServers` object. */
export async function startGateway(servers: Record<string, unknown>): Promise<TestGateway> {
  const { env, drop } = await migratedDatabase()
  const log = openLog(LOG_LEVEL)
  const time = { passed: 0 }
  const deps = await openDeps(
    parseConfig({ BASE_URL: 'http://localhost:3000', ...env }, () => ''),
    { log, time: timeSources(time), serving: true },
  )
  const { now } = deps
  const open = (initial: Record<string, unknown>, close: () => Promise<void>): TestGateway => {
    let text = JSON.stringify({ mcpServers: initial })
    const records: CallRecord[] = []
    const supervisor = openSupervisor({ log, now })
    const gateway = openGateway({
      accounts: openAccounts(deps, () => ''),
      log,
      now,
      sql: deps.sql,
      db: deps.db,
      sealKey: Buffer.alloc(32, 7),
      load: () => parseServers(text, { path: 'mcp.json', env: process.env, readFile: () => '' }),
      openChild: (spec, events) => openStdio(supervisor, spec, events),
      supervisor,
      onCall: record => void records.push(record),
      onToolsChanged: () => {},
    })
    return {
      gateway,
      sql: deps.sql,
      records,
      async configure(servers) {
        text = JSON.stringify({ mcpServers: servers })
        await gateway.reload()
      },
      again: async () => open(initial, async () => {}),
      clock: {
        advance(ms) {
          time.passed += ms
        },
      },
      async [Symbol.asyncDispose]() {
        await gateway.close()
        await supervisor.closeAll()
        await close()
      },
    }
  }
  return open(servers, async () => {
    await deps.close()
    await drop()
  })
}

export function callerOf(name = 'ada', more: Partial<GatewayCaller> = {}): GatewayCaller {
  const id = new Bun.CryptoHasher('md5').update(name).digest('hex') // a UUID, as people have
  return {
    principal: `user:${id}`,
    user: { id, email: `${name}@example.com`, name },
    clientId: 'a-client',
    scope: ['mcp'],
    ip: null,
    ...more,
  }
}

/** One request without an SDK client. */
export function exchangeOf(
  era: '2026' | '2025',
  method: string,
  params: Record<string, unknown>,
  more: Partial<Exchange> = {},
): Exchange {
  return {
    caller: callerOf(),
    era,
    revision: era === '2026' ? MODERN : '2025-11-25',
    method,
    params,
    clientInfo: { name: 'test', version: '1.0.0' },
    capabilities: {},
    signal: new AbortController().signal,
    notify: () => {},
    ...more,
  }
}

/** The transport for an SDK client; without `endpoint`, to the hub. */
export function frontOf(gateway: Gateway, endpoint: string | undefined, caller = callerOf()): Transport {
  const inFlight = new Map<string | number, AbortController>()
  const asked = new Map<string | number, PromiseWithResolvers<Record<string, unknown>>>()
  const listenings: Listening[] = []
  const session = {
    clientInfo: {},
    capabilities: {} as Record<string, unknown>,
    revision: '',
    logLevel: undefined as string | undefined,
  }
  let nextId = 1

  const front: Transport = {
    start: async () => {},
    async close() {
      for (const controller of inFlight.values()) controller.abort()
      for (const listening of listenings) listening.close()
      front.onclose?.()
    },
    async send(message) {
      take(message as unknown as Message)
    },
  }
  const deliver = (message: unknown) => front.onmessage?.(message as JSONRPCMessage)

  function take(message: Message): void {
    if (isResponse(message)) {
      const waiting = asked.get(message.id)
      asked.delete(message.id)
      if ('result' in message) waiting?.resolve(message.result)
      else waiting?.reject(new RpcError(message.error.code, message.error.message, message.error.data))
    } else if (isRequest(message)) void answer(message)
    else if (message.method === 'notifications/cancelled') inFlight.get(message.params?.requestId as string)?.abort()
    else if (message.method === 'notifications/initialized')
      void listen({ toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true })
  }

  async function listen(filter: ListenFilter, tag?: string | number): Promise<Listening> {
    const listening = await gateway.listen(endpoint, caller, filter, notification => {
      const _meta = { ...metaOf(notification.params), ...(tag === undefined ? {} : { [SUBSCRIPTION_ID]: tag }) }
      deliver({ ...notification, params: { ...notification.params, _meta } })
    })
    listenings.push(listening)
    return listening
  }

  async function answer(request: RpcRequest): Promise<void> {
    const controller = new AbortController()
    inFlight.set(request.id, controller)
    try {
      const result = await resultOf(request, controller.signal)
      // A cancelled request gets no response.
      if (result && !controller.signal.aborted) deliver({ jsonrpc: '2.0', id: request.id, result })
    } catch (error) {
      if (!(error instanceof RpcError)) throw error
      const { rpcCode, message, data } = error
      if (!controller.signal.aborted)
        deliver({ jsonrpc: '2.0', id: request.id, error: { code: rpcCode, message, data } })
    } finally {
      inFlight.delete(request.id)
    }
  }

  async function resultOf({ id, method, params = {} }: RpcRequest, signal: AbortSignal) {
    const modern = metaOf(params)?.[PROTOCOL_VERSION] !== undefined
    const serverInfo = { name: 'front', version: '1' }
    if (method === 'initialize') {
      const { capabilities, instructions } = await gateway.describe(endpoint, caller)
      session.clientInfo = params.clientInfo as object
      session.capabilities = params.capabilities as Record<string, unknown>
      session.revision = params.protocolVersion as string
      return { protocolVersion: session.revision, capabilities, serverInfo, ...(instructions ? { instructions } : {}) }
    }
    if (method === 'server/discover') {
      const { capabilities, instructions } = await gateway.describe(endpoint, caller)
      const _meta = { [SERVER_INFO]: serverInfo }
      const hints = { ttlMs: 0, cacheScope: 'private', resultType: 'complete' }
      return { supportedVersions: [MODERN], capabilities, ...(instructions ? { instructions } : {}), ...hints, _meta }
    }
    if (method === 'subscriptions/listen') {
      const { granted } = await listen(params.notifications as ListenFilter, id)
      const acknowledged = { notifications: granted, _meta: { [SUBSCRIPTION_ID]: id } }
      deliver({ jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params: acknowledged })
      return undefined
    }
    if (method === 'resources/subscribe') {
      await listen({ resourceSubscriptions: [params.uri as string] })
      return {}
    }
    if (method === 'logging/setLevel') session.logLevel = params.level as string
    return gateway.request(endpoint, {
      caller,
      era: modern ? '2026' : '2025',
      revision: modern ? MODERN : session.revision,
      method,
      params,
      clientInfo: (modern ? metaOf(params)?.[CLIENT_INFO] : session.clientInfo) as Record<string, unknown>,
      capabilities: (modern ? metaOf(params)?.[CLIENT_CAPABILITIES] : session.capabilities) as Record<string, unknown>,
      ...(session.logLevel === undefined ? {} : { logLevel: session.logLevel }),
      signal,
      notify: (notification: RpcNotification) => deliver(notification),
      ...(modern ? {} : { ask }),
    })
  }

  function ask(method: string, params: Record<string, unknown>): Promise<Record<string, unknown>> {
    const id = `asked-${nextId++}`
    const waiting = Promise.withResolvers<Record<string, unknown>>()
    asked.set(id, waiting)
    deliver({ jsonrpc: '2.0', id, method, ...(isObject(params) ? { params } : {}) })
    return waiting.promise
  }
  return front
}
