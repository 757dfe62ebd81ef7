import packageJson from '../../package.json' with { type: 'json' }
import { databaseVersion } from '../../sql/index.ts'
import { figuresOf } from '../admin/figures.ts'
import type { Config } from '../config.ts'
import type { UpstreamStatus } from '../gateway/exchange.ts'
import { listStatesByServer } from '../gateway/operating.ts'
import { printableText } from '../lib/text.ts'
import { serversOf } from '../presence.ts'
import { settingsInEffect } from '../settings.ts'
import { environment, variableOrigins, withDeps } from './environment.ts'
import { missingForProduction } from './greeting.ts'
import { secretFileWarnings } from './secret-files.ts'
import { counted, inSnakeCase, print, printJson, relativeTime } from './terminal.ts'

/** What is configured, what the database is, whether the server answers, and what is missing for production. */
export async function showStatus({ json }: { json?: boolean }): Promise<void> {
  await withDeps(async deps => {
    const { config } = deps
    const asked = performance.now()
    const version = await databaseVersion(deps.sql)
    const database = {
      kind: config.DATABASE_URL ? 'PostgreSQL' : 'embedded PostgreSQL',
      version,
      milliseconds: Math.round((performance.now() - asked) * 10) / 10,
    }
    const replicas = await listStatesByServer(deps)
    const servers = await serversOf(deps)
    const { people: users, connections, calls, refused } = await figuresOf(deps)
    const total = (bars: typeof calls, of: 'count' | 'failed') => bars.reduce((sum, bar) => sum + bar[of], 0)
    const lastDay = {
      calls: total(calls, 'count'),
      failed_calls: total(calls, 'failed'),
      refused: total(refused, 'count'),
    }
    const settings = settingsInEffect(config, environment(), variableOrigins())
    const status = {
      version: packageJson.version,
      base_url: config.BASE_URL,
      server: await serverState(config),
      database,
      servers,
      users,
      connections,
      last_day: lastDay,
      upstreams: replicas.map(({ server, status }) => ({ server, upstreams: status })),
      missing: [...secretFileWarnings(config), ...missingForProduction(deps)],
      settings: Object.fromEntries(settings.map(({ name, value }) => [name, value])),
    }
    if (json) {
      const upstreams = replicas.map(({ server, status }) => ({
        server,
        upstreams: (status as object[]).map(inSnakeCase),
      }))
      return printJson({ ...status, upstreams })
    }
    print(`mcp-oauth-server ${status.version} at ${status.base_url}: ${status.server}`)
    print(`${database.kind} ${database.version}, answers in ${database.milliseconds} ms`)
    print(`${counted(users, 'user')}, ${counted(connections, 'connection')}`)
    print(
      `Last 24 hours: ${counted(lastDay.calls, 'call')}, ${lastDay.failed_calls.toLocaleString('en')} of them failed; ${counted(lastDay.refused, 'refused request')}`,
    )
    for (const { name, version, address, started_at, sessions, streams, errors } of servers) {
      const since = relativeTime(new Date(started_at), deps.now())
      print(
        `\nServer ${name} at ${address}: ${version}, started ${since}, ${counted(sessions, 'session')}, ${counted(streams, 'stream')}`,
      )
      for (const { at, message } of errors) print(`  error ${at}  ${printableText(message, 200)}`)
    }
    for (const { server, upstreams } of status.upstreams)
      for (const { name, state, lastError } of upstreams as UpstreamStatus[])
        print(`Upstream ${name} of ${server}: ${state}${lastError ? `, ${printableText(lastError, 200)}` : ''}`)
    if (status.missing.length > 0)
      print(`\nBefore others can use it:\n${status.missing.map(item => `  - ${item}`).join('\n')}`)
    print('\nSettings:')
    for (const { name, value, source } of settings) print(`  ${name}=${value} (${source})`)
  })
}

/** `up`, `stopping`, `not ready`, or that nothing answers. */
export async function serverState({ HOST, PORT }: Config): Promise<string> {
  const host = HOST === '0.0.0.0' ? '127.0.0.1' : HOST === '::' ? '[::1]' : HOST.includes(':') ? `[${HOST}]` : HOST
  try {
    const answer = await fetch(`http://${host}:${PORT}/readyz`, { signal: AbortSignal.timeout(5_000) })
    if (answer.ok) return 'up'
    return ((await answer.json()) as { status?: string }).status === 'stopping' ? 'stopping' : 'not ready'
  } catch {
    return `nothing answers at ${HOST}:${PORT}`
  }
}
