/** A whole server in front of upstream servers, and clients for them. */
import type { Deps } from '../../src/deps.ts'
import { openAccounts } from '../../src/gateway/accounts/index.ts'
import { parseServers } from '../../src/gateway/config.ts'
import type { CallRecord } from '../../src/gateway/exchange.ts'
import { openGateway } from '../../src/gateway/index.ts'
import { openStdio } from '../../src/gateway/stdio.ts'
import { openSupervisor } from '../../src/gateway/supervisor.ts'
import { subjectTokens } from '../../src/oauth/subject-tokens.ts'
import type { Target } from './conformance.ts'
import { deviceTokens, registerClient, signIn } from './flows.ts'
import { startReplica, startServer, type TestServer } from './server.ts'
import { startUpstream, stdioEntry, type Upstream } from './upstreams/start.ts'

type Servers = Record<string, unknown>

export interface Front extends TestServer {
  /** Events recorded for the audit log. */
  records: CallRecord[]
  /** Replaces the file's content, and reloads it. */
  configure(servers: Servers): Promise<void>
}

/** @param servers As in the `mcpServers` object. @param before Called before the gateway opens. */
export async function startFront(
  servers: Servers,
  env: Record<string, string> = {},
  before?: (deps: Deps) => void,
): Promise<Front> {
  const upstreams = openUpstreams(servers, before)
  return { ...(await startServer(env, undefined, 30, upstreams.prepare)), ...upstreams.front }
}

/** Another replica, with the same upstream servers. */
export async function startFrontReplica(of: TestServer, servers: Servers): Promise<Front> {
  const upstreams = openUpstreams(servers)
  return { ...(await startReplica(of, {}, 0, upstreams.prepare)), ...upstreams.front }
}

function openUpstreams(servers: Servers, before?: (deps: Deps) => void) {
  let text = JSON.stringify({ mcpServers: servers })
  const records: CallRecord[] = []
  let deps: Deps | undefined
  return {
    async prepare(opened: Deps) {
      deps = opened
      before?.(deps)
      const { log, now, sql, db, secrets } = deps
      const supervisor = openSupervisor({ log, now })
      const accounts = openAccounts(deps, subjectTokens(opened))
      const gateway = openGateway({
        accounts,
        log,
        now,
        sql,
        db,
        sealKey: secrets.heldCalls,
        load: () => parseServers(text, { path: 'mcp.json', env: process.env, readFile: () => '' }),
        openChild: (spec, events) => openStdio(supervisor, spec, events),
        supervisor,
        onCall: record => void records.push(record),
        onToolsChanged: () => {},
      })
      deps.gateway = gateway
      return async () => {
        await gateway.close()
        await accounts.close()
        await supervisor.closeAll()
      }
    },
    front: {
      records,
      async configure(next: Servers) {
        text = JSON.stringify({ mcpServers: next })
        await deps?.gateway?.reload()
      },
    },
  }
}

/** A token for one upstream server, or for the hub. */
export async function tokenFor(server: TestServer, name?: string, scope = 'mcp', email?: string): Promise<string> {
  const resource = `${server.base}/mcp${name === undefined ? '' : `/${name}`}`
  const cookie = await signIn(server, email)
  return (await deviceTokens(server, await registerClient(server), cookie, { scope, resource })).access_token
}

/** A fixture behind the gateway, over stdio or HTTP, for the conformance suite. */
export async function openBehind(upstream: Upstream, wire: 'stdio' | 'http'): Promise<Target & AsyncDisposable> {
  await using opening = new AsyncDisposableStack()
  const entry = wire === 'stdio' ? stdioEntry(upstream) : { url: opening.use(await startUpstream(upstream)).url }
  const server = opening.adopt(await startFront({ fixture: { ...entry, roots: true } }), front => front.close())
  const authorization = `Bearer ${await tokenFor(server, 'fixture')}`
  const stack = opening.move()
  return {
    url: `${server.base}/mcp/fixture`,
    authorization,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}
