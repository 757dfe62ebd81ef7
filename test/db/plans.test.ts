/**
 * No statement reads a table that grows from one end to the other. Every function that `sql/` exports is run with made-up
 * arguments against a recorder, and what it would have asked is planned beside many rows in every table: with what the planner
 * knows of the arguments and without (the plan of a prepared statement that is used often), and with statistics and
 * without (the embedded database never gathers them). On PostgreSQL only: the planner of the embedded database is the same,
 * and takes ten times as long to get so many rows.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { redeemDeviceCode } from '../../sql/device-codes.ts'
import { pollUndecidedCodes } from '../../sql/device-polls.ts'
import type { Queries } from '../../sql/index.ts'
import { fillTables, ROWS } from '../support/many-rows.ts'
import { onPostgres, startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

/** Tables that do not grow with use: PostgreSQL's own, and those with a row for each version, key, upstream in the file, or server process. */
const SMALL = /^(pg_\w+|schema_migrations|signing_keys|upstream_eras|upstream_clients|upstream_status|servers)$/
/** Statements that read a whole table on purpose, and why that is acceptable. */
const READ_ALL: Record<string, string> = {
  listRevocations: 'a replica that starts must know every revocation, and those that have expired are swept',
  listLeftAccounts: 'once when a server starts',
  listAccountsOfDisabled: 'once when a server starts',
  listEventCounts: 'an administrator opens the overview, which shows a day of the month that is kept',
  countUsers: 'an administrator opens the overview, or an operator asks for the status',
  countConnections: 'an administrator opens the overview, or an operator asks for the status',
  countUpstreamAccounts: 'an operator asks by a command how many there are',
  countPendingTools: 'an administrator opens the list of upstreams, where few tools wait to be accepted',
  deleteOfPrincipal: 'a person is removed',
  findOperatorClientByName: 'an operator adds a client by a command',
}

/** Statements of every token request, bearer check and page. Until the next analyze, the others may be slow. */
const HOT = [
  ...[
    'pollUndecidedCodes',
    'redeemDeviceCode',
    'findAuthorizationCodes',
    'consumeAuthorizationCodes',
    'findRefreshTokens',
    'rotateRefreshTokens',
  ],
  ...['findRefreshGrant', 'findClient', 'findUserById', 'findSession', 'anyRevoked', 'insertDeviceCodes'],
]

let server: TestServer
beforeAll(async () => {
  if (!onPostgres) return
  server = await startServer()
  await fillTables(server.deps.db)
})
afterAll(() => server?.close())

type Query = (...args: unknown[]) => Promise<unknown>

async function exportedFunctions(): Promise<[name: string, query: Query][]> {
  const dir = join(import.meta.dir, '../../sql')
  const files = readdirSync(dir).filter(name => name.endsWith('.ts'))
  const modules = await Promise.all(files.map(file => import(join(dir, file)) as Promise<Record<string, unknown>>))
  return modules.flatMap(module =>
    Object.entries(module).filter((entry): entry is [string, Query] => typeof entry[1] === 'function'),
  )
}

/** An argument that is whatever a query makes of it: any member is another one, and any call gives one. */
function anything(): unknown {
  return new Proxy(function anything() {}, {
    get: (_, key) => (key === Symbol.toPrimitive ? () => '1' : key === Symbol.iterator ? undefined : anything()),
    apply: () => anything(),
  })
}

/** The text of the statement that a function runs. */
async function statementOf(query: Query): Promise<string> {
  const texts: string[] = []
  const recorder = new Proxy(function sql() {}, {
    apply(_, __, [strings]: [readonly string[] | string]) {
      if (typeof strings !== 'object') return anything() // a name, which the statement is about to use
      texts.push(strings.reduce((text, part, i) => `${text}$${i}${part}`))
      return Promise.reject(new Error('recorded'))
    },
    get: () => anything(),
  })
  await Promise.resolve(query(recorder, anything(), anything(), anything())).catch(error => {
    if ((error as Error).message !== 'recorded') throw error
  })
  if (texts.length !== 1) throw new Error(`${texts.length} statements, and not one`)
  return texts[0]!
}

interface Plan {
  'Node Type': string
  'Relation Name'?: string
  'Index Cond'?: string
  Plans?: Plan[]
}

/** Tables that are read whole: by a sequential scan, or by an index scan without a condition or a limit. */
function readWhole(plan: Plan, limited = false): string[] {
  const type = plan['Node Type']
  const table = plan['Relation Name'] ?? ''
  const whole = /^Seq Scan|^Sample/.test(type) || (/^Index/.test(type) && !plan['Index Cond'] && !limited)
  const ends = type === 'Limit' || (limited && /^(LockRows|Incremental Sort|Subquery Scan|Nested Loop)$/.test(type))
  return [
    ...(whole && table !== '' && !SMALL.test(table) ? [`${type} of ${table}`] : []),
    ...(plan.Plans ?? []).flatMap(child => readWhole(child, ends)),
  ]
}

/** A value of each type that statements have parameters of, as SQL writes it; times before or after all that there is. */
function literal(type: string, late: boolean): string {
  const values: Record<string, string> = {
    text: "'none'",
    uuid: `'${crypto.randomUUID()}'`,
    'text[]': "'{1,2}'",
    'uuid[]': `'{${crypto.randomUUID()}}'`,
    'double precision[]': "'{1,2}'",
    bytea: `'\\x${'00'.repeat(32)}'`,
    'timestamp with time zone': late ? "'2999-01-01'" : "'1999-01-01'",
    integer: '500',
    bigint: '500',
    boolean: 'true',
    jsonb: "'[]'",
  }
  const value = values[type]
  if (value === undefined) throw new Error(`add a value of the type ${type}`)
  return `${value}::${type}`
}

/** The plans that the database makes for a statement. */
async function plansOf(sql: Queries, statement: string): Promise<Plan[]> {
  await sql.unsafe(`prepare planned as ${statement}`)
  const [row] = await sql<{ types: string }[]>`
    select array_to_string(parameter_types, ';') as types from pg_prepared_statements where name = 'planned'`
  const types = row!.types === '' ? [] : row!.types.split(';')
  const plans: Plan[] = []
  for (const [mode, late] of [
    ['generic', false],
    ['custom', false],
    ['custom', true],
  ] as const) {
    await sql.unsafe(`set local plan_cache_mode = force_${mode}_plan`)
    const values = types.map(type => literal(type, late)).join(', ')
    const [explained] = await sql.unsafe(`explain (format json) execute planned${values && `(${values})`}`)
    plans.push((explained!['QUERY PLAN'] as { Plan: Plan }[])[0]!.Plan)
  }
  await sql.unsafe('deallocate planned')
  return plans
}

async function findWholeReads(): Promise<string[]> {
  const found: string[] = []
  for (const [name, query] of await exportedFunctions()) {
    const statement = await statementOf(query)
    if (/^\s*(lock table|vacuum|checkpoint)/.test(statement)) continue // has no plan
    const plans = await server.deps.db
      .begin(sql => plansOf(sql, statement), 60_000)
      .catch(error => {
        throw new Error(`${name}: ${(error as Error).message}\n${statement}`)
      })
    const read = new Set(plans.flatMap(plan => readWhole(plan)))
    if (READ_ALL[name] === undefined) found.push(...[...read].map(what => `${name}: ${what}`))
  }
  return found
}

describe.skipIf(!onPostgres)('beside many rows in every table that grows', () => {
  test('each table has that many', async () => {
    const tables = await server.deps.sql<{ name: string }[]>`
      select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1`
    for (const { name } of tables.filter(table => !SMALL.test(table.name))) {
      const [row] = await server.deps.sql<{ count: number }[]>`
        select count(*)::int as count from ${server.deps.sql(name)}`
      expect([name, row!.count]).toEqual([name, expect.any(Number)])
      expect(row!.count, name).toBeGreaterThanOrEqual(ROWS)
    }
  })

  test('every foreign key has an index that starts with it', async () => {
    const missing = await server.deps.sql`
      select key.conrelid::regclass::text as table, key.conname as key
      from pg_constraint as key
      where key.contype = 'f'
        and not exists (
          select
          from pg_index as index
          where index.indrelid = key.conrelid
            and (index.indkey::int2[])[0:cardinality(key.conkey) - 1] operator(pg_catalog.@>) key.conkey
            and (index.indpred is null or pg_get_expr(index.indpred, index.indrelid) ~ '^\\(\\w+ IS NOT NULL\\)$')
        )`
    expect([...missing]).toEqual([])
  })

  test('no statement scans a whole table, without statistics', async () => {
    expect(await findWholeReads()).toEqual([])
  })

  test('nor does a hot one with statistics from when the tables were nearly empty', async () => {
    await server.deps.sql`
      update pg_class
      set relpages = 1, reltuples = 0
      where relkind in ('r', 'i') and relnamespace = 'public'::regnamespace`
    const found = await findWholeReads()
    expect(found.filter(read => HOT.includes(read.split(':')[0]!))).toEqual([])
    expect(found).not.toEqual([]) // or these statistics have no effect
    const names = (await exportedFunctions()).map(([name]) => name)
    expect(HOT.filter(name => !names.includes(name))).toEqual([])
  })

  test('nor with current ones', async () => {
    await server.deps.db.begin(async sql => {
      await sql.unsafe('set local statement_timeout = 0')
      await sql.unsafe('analyze')
    }, 250_000)
    expect(await findWholeReads()).toEqual([])
  })

  test('a device code is found by its hash, not among those of its client', async () => {
    const conditions = (plan: Plan): string[] => [
      ...(plan['Relation Name'] === 'device_codes' && plan['Index Cond'] ? [plan['Index Cond']] : []),
      ...(plan.Plans ?? []).flatMap(conditions),
    ]
    for (const query of [pollUndecidedCodes, redeemDeviceCode]) {
      const statement = await statementOf(query as Query)
      const plans = await server.deps.db.begin(sql => plansOf(sql, statement))
      expect(plans.flatMap(conditions)).toEqual(Array(3).fill(expect.stringContaining('device_code_hash')))
    }
  })

  test('such a statement would be detected', async () => {
    const plans = await server.deps.db.begin(sql => plansOf(sql, 'select from sessions where user_agent = $1'))
    expect(plans.map(plan => readWhole(plan))).toEqual(Array(3).fill(['Seq Scan of sessions']))
  })
})
