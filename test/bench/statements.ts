/**
 * Whether statements that no request of `growth.ts` runs cost more as tables grow: those of the sweeper, with nothing to delete
 * and with a full batch, and those of pages, files and commands. Usage: bun run test/bench/statements.ts [--rows N,N]
 * Prints a table of milliseconds, as a client of PostgreSQL on the same machine sees them.
 */
import { parseArgs } from 'node:util'
import { listEventsOfUser, sweepAuditEvents } from '../../sql/audit-events.ts'
import { sweepAuthorizationCodes } from '../../sql/authorization-codes.ts'
import { sweepExpiredRequests, sweepSurplusRequests } from '../../sql/authorization-requests.ts'
import { deleteUnusedClients, lockUnusedClients, lockUnusedDocuments } from '../../sql/clients.ts'
import {
  insertConnectionSteps,
  listConnectionSteps,
  sweepOldSteps,
  sweepSurplusSteps,
} from '../../sql/connection-steps.ts'
import { sweepDeviceCodes } from '../../sql/device-codes.ts'
import { pollUndecidedCodes, sweepDevicePolls } from '../../sql/device-polls.ts'
import { sweepExpiredGrants, sweepRevokedGrants } from '../../sql/grants.ts'
import type { Queries } from '../../sql/index.ts'
import {
  findPersonalToken,
  listAllPersonalTokens,
  listPersonalTokens,
  sweepPersonalTokens,
} from '../../sql/personal-tokens.ts'
import { sweepRefreshTokens } from '../../sql/refresh-tokens.ts'
import { sweepRevocations } from '../../sql/revocations.ts'
import { sweepSessionMessages } from '../../sql/session-messages.ts'
import { sweepSessions, sweepSignInLinks } from '../../sql/sessions.ts'
import { sweepThrottles } from '../../sql/throttles.ts'
import { sweepUpstreamTrips } from '../../sql/upstream-trips.ts'
import { sweepCatalogues } from '../../sql/upstreams.ts'
import { sweepUsedAssertions } from '../../sql/used-assertions.ts'
import { connect } from '../../src/db/index.ts'
import { migrate } from '../../src/db/migrate.ts'
import { openLog } from '../../src/lib/log.ts'
import { fillTables } from '../support/many-rows.ts'
import { startCluster } from '../support/with-postgres.ts'
import { middle } from './report.ts'

const { values } = parseArgs({ options: { rows: { type: 'string', default: '10000,100000,1000000' } } })
const COUNTS = values.rows.split(',').map(Number)
const TIMES = 11
/** As the sweeper does. */
const BATCH = 200

const NOW = new Date()
/** Before the first row, and after the last that `fillTables` makes. */
const [NOTHING, EVERYTHING] = [new Date('1999-01-01'), new Date('2100-01-01')]

const idsOf = (rows: readonly { id: string }[]) => rows.map(({ id }) => id)

const SWEEPS: Record<string, (sql: Queries, before: Date, limit: number) => Promise<unknown>> = {
  ...{
    sweepAuditEvents,
    sweepAuthorizationCodes,
    sweepCatalogues,
    sweepDeviceCodes,
    sweepDevicePolls,
    sweepExpiredGrants,
  },
  ...{
    sweepExpiredRequests,
    sweepOldSteps,
    sweepPersonalTokens,
    sweepRefreshTokens,
    sweepRevocations,
    sweepRevokedGrants,
  },
  ...{ sweepSessionMessages, sweepSessions, sweepSignInLinks, sweepThrottles, sweepUpstreamTrips, sweepUsedAssertions },
  sweepUnusedClients: async (sql, before, limit) => {
    const locked = await lockUnusedClients(sql, { before, after: undefined, limit })
    return deleteUnusedClients(sql, idsOf(locked))
  },
}

const idOf = (n: number) =>
  new Bun.CryptoHasher('md5')
    .update(String(n))
    .digest('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
const hashOf = (n: number) => new Bun.CryptoHasher('sha256').update(String(n)).digest()
const step = {
  at: NOW,
  step: 'call',
  clientId: 'c_7',
  network: '192.0.2.1',
  program: 'test',
  status: 200,
  answer: null,
  known: true,
}

const OTHERS: Record<string, (sql: Queries) => Promise<unknown>> = {
  'account export, of a user with 100,000 events': sql => listEventsOfUser(sql, idOf(1), 10_001),
  'account export, of any other user': sql => listEventsOfUser(sql, idOf(7), 10_001),
  'steps of clients, 50 written': sql => insertConnectionSteps(sql, Array(50).fill(step), NOTHING),
  'steps of clients, newest 10,000': sql => listConnectionSteps(sql, 10_000),
  'steps of clients, beyond 10,000': sql => sweepSurplusSteps(sql, true, 10_000, BATCH),
  'waiting authorization requests, beyond 20,000': sql => sweepSurplusRequests(sql, 20_000, BATCH),
  'unused metadata documents, beyond 2,000': async sql =>
    deleteUnusedClients(sql, idsOf(await lockUnusedDocuments(sql, 2_000, BATCH))),
  'personal token, looked up': sql => findPersonalToken(sql, hashOf(7)),
  'personal tokens of a user': sql => listPersonalTokens(sql, idOf(7)),
  'personal tokens of all, a page': sql =>
    listAllPersonalTokens(sql, { email: undefined, after: undefined, limit: 100 }),
  'device poll': sql =>
    pollUndecidedCodes(sql, [{ deviceCodeHash: hashOf(7), clientId: 'c_7', now: new Date('2019-01-01') }]),
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < TIMES; i++) {
    const began = performance.now()
    await work()
    times.push(performance.now() - began)
  }
  return middle(times)
}

const measured = new Map<string, number[]>()
for (const rows of COUNTS) {
  const cluster = await startCluster({ settings: ['max_wal_size=4GB'] })
  const db = await connect({ databaseUrl: cluster.url, dataDir: '', serving: false, log: openLog('silent') })
  await migrate(db)
  await fillTables(db, rows)
  await db.begin(async sql => {
    await sql.unsafe('set local statement_timeout = 0')
    await sql.unsafe(`insert into audit_events (at, event, user_id)
      select now() - n * interval '1 second', 'tool.called', '${idOf(1)}' from generate_series(1, 100000) as n`)
    await sql.unsafe('analyze')
  }, 300_000)
  const add = async (name: string, work: () => Promise<unknown>) => {
    measured.set(name, [...(measured.get(name) ?? []), await timeOf(work)])
  }
  for (const [name, query] of Object.entries(OTHERS)) await add(name, () => query(db.sql))
  for (const [name, sweep] of Object.entries(SWEEPS)) {
    await add(`${name}, nothing is over`, () => sweep(db.sql, NOTHING, BATCH))
    await add(`${name}, everything is`, () => sweep(db.sql, EVERYTHING, BATCH))
  }
  await db.close()
  await cluster.remove()
}

console.log(`| milliseconds, by rows of each table | ${COUNTS.map(count => count.toLocaleString('en')).join(' | ')} |`)
console.log(`|---|${COUNTS.map(() => '---|').join('')}`)
for (const [name, times] of measured) console.log(`| ${name} | ${times.map(time => time.toFixed(1)).join(' | ')} |`)
