/**
 * What a large installation would hold and cost: the bytes of rows and the time of requests that `bench:growth` measured
 * (growth.json), times how many there would be, and what a replica keeps in memory, measured here. Prints the tables of
 * scale.md. Usage: bun run test/bench/scale.ts
 */

import { heapStats } from 'bun:jsc'
import { generateKeyPairSync, randomBytes, randomUUID, sign, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const PEOPLE = 10e6
const GRANTS = 50e6
const TOKEN_REQUESTS = 20_000
const MCP_REQUESTS = 200_000
/** Each grant refreshes once an hour while it is used; the rest of the token requests are those of machines. */
const REFRESHES = Math.min(TOKEN_REQUESTS, GRANTS / 3600)
/** Of all grants, in a day. */
const ENDED = 0.01
const DAY = 86_400

interface Growth {
  measured: { grown: string; count: number; case: string; server: number; database: number }[]
  sizes: { table: string; row: number; indexes: Record<string, number> }[]
}
const growth: Growth = JSON.parse(readFileSync(join(import.meta.dir, 'growth.json'), 'utf8'))

const bytesOf = (table: string) => {
  const { row, indexes } = growth.sizes.find(one => one.table === table)!
  return { row, indexes: Object.values(indexes).reduce((sum, bytes) => sum + bytes, 0) }
}
const show = (value: number, digits = 0) => value.toLocaleString('en', { maximumFractionDigits: digits })
const tables: [table: string, rows: number, why: string][] = [
  ['users', PEOPLE, 'people'],
  ['clients', 1e6, 'metadata documents and registrations are shared: at most a million'],
  ['grants', GRANTS, 'connections'],
  ['refresh_tokens', GRANTS * 2, 'the current one of each grant and one used, an hour after the start'],
  ['refresh_tokens', GRANTS * 108, 'with the used ones that are kept, after five days'],
  ['authorization_codes', (GRANTS / 90) * 2, 'each grant is new every 90 days; kept for a day'],
  ['device_codes', ((GRANTS / 90) * 70) / 1440, 'if all were devices; kept for 70 minutes'],
  ['revocations', GRANTS * ENDED * 2, '1 % of the grants end in a day; kept for two'],
  ['audit_events', (REFRESHES + MCP_REQUESTS) * DAY, 'one day: every call, and refreshes'],
]
console.log('| table | rows | bytes of a row + in indexes | in all | which |\n|---|---|---|---|---|')
for (const [table, rows, why] of tables) {
  const { row, indexes } = bytesOf(table)
  console.log(
    `| ${table} | ${rows < 1e6 ? `${show(rows / 1e3)} thousand` : `${show(rows / 1e6, 1)} million`} | ${row} + ${indexes} | ${show((rows * (row + indexes)) / 1e9, 1)} GB | ${why} |`,
  )
}

/** Bytes of the heap for each entry of a map. */
function measure(make: (n: number) => [string, unknown]): number {
  const COUNT = 200_000
  Bun.gc(true)
  const before = heapStats().heapSize + heapStats().extraMemorySize
  const map = new Map(Array.from({ length: COUNT }, (_, n) => make(n)))
  Bun.gc(true)
  const after = heapStats().heapSize + heapStats().extraMemorySize
  return (after - before) / map.size
}
const revocation = measure(() => [`grant:${randomUUID()}`, Date.now() + Math.random()])
const principal = () => ({
  ...{ userId: randomUUID(), clientId: `c_${randomBytes(12).toString('base64url')}`, grantId: randomUUID() },
  ...{ scope: ['mcp:tools:read', 'mcp:tools:call'], audience: 'https://mcp.example/mcp', tokenId: randomUUID() },
  ...{ issuedAt: 1, expiresAt: 2, kid: 'key' },
})
const verified = measure(() => [randomBytes(32).toString('base64'), principal()])
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const text = randomBytes(500)
const signature = sign('sha256', text, { key: privateKey, dsaEncoding: 'ieee-p1363' })
const before = process.cpuUsage()
for (let i = 0; i < 5_000; i++) verify('sha256', text, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)
const spent = process.cpuUsage(before)
const check = (spent.user + spent.system) / 5_000

const largest = Math.max(...growth.measured.filter(({ grown }) => grown === 'rows').map(({ count }) => count))
const costOf = (title: string) => growth.measured.find(one => one.case.includes(title) && one.count === largest)!
const [refresh, credentials, call] = [costOf('refresh'), costOf('credentials'), costOf('2026-07-28')]
const cores = (perSecond: number, microseconds: number) => show((perSecond * microseconds) / 1e6, 1)
const machines = TOKEN_REQUESTS - REFRESHES
console.log('\n| work | a second | cores of servers | cores of PostgreSQL |\n|---|---|---|---|')
console.log(
  `| refreshes | ${show(REFRESHES)} | ${cores(REFRESHES, refresh.server)} | ${cores(REFRESHES, refresh.database)} |`,
)
console.log(
  `| client credentials | ${show(machines)} | ${cores(machines, credentials.server)} | ${cores(machines, credentials.database)} |`,
)
console.log(
  `| MCP requests | ${show(MCP_REQUESTS)} | ${cores(MCP_REQUESTS, call.server)} | ${cores(MCP_REQUESTS, call.database)} |`,
)
console.log(`| signatures, if no token is known | ${show(MCP_REQUESTS)} | ${cores(MCP_REQUESTS, check)} | 0 |`)

const ended = GRANTS * ENDED * 2
console.log('\n| in the memory of a replica | how many | bytes each | in all |\n|---|---|---|---|')
console.log(`| revocations | ${show(ended)} | ${show(revocation)} | ${show((ended * revocation) / 1e6)} MB |`)
console.log(
  `| the same as a Bloom filter, 1 in a million wrong | ${show(ended)} | 3.6 | ${show((ended * 3.6) / 1e6, 1)} MB |`,
)
console.log(`| verified tokens (at most 50,000) | 50,000 | ${show(verified)} | ${show((50_000 * verified) / 1e6)} MB |`)
console.log(
  `| verified tokens, if all were kept | ${show(GRANTS)} | ${show(verified)} | ${show((GRANTS * verified) / 1e9, 1)} GB |`,
)
console.log(`\nnotifications: ${show((GRANTS * ENDED) / DAY, 1)} a second to every replica`)
