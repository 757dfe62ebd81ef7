/** The overview: how many people and connections, what was called and refused in the last day, and how the upstreams are. */
import { Elysia } from 'elysia'
import { type EventCount, listEventCounts } from '../../sql/event-counts.ts'
import { countConnections } from '../../sql/grants.ts'
import { countUsers } from '../../sql/users.ts'
import { type Bar, overviewPage } from '../../views/admin/overview.tsx'
import { PAGE } from '../http/routes.ts'
import { type AdminDeps, administrators, adminPage } from './guard.ts'

const HOURS = 24
const HOUR_MS = 3_600_000

const isCall = (event: string) => event === 'tool.called' || event === 'upstream.called'
const isRefusal = (event: string) => /refused|wrong_code|unauthorized|replayed|reused/.test(event)

export const overview = (deps: AdminDeps) =>
  new Elysia({ name: 'admin-overview' }).use(administrators(deps)).get(
    '/admin',
    async asked => {
      await deps.audit.flush()
      const thisHour = Math.floor(deps.now().getTime() / HOUR_MS) * HOUR_MS
      const hours = Array.from({ length: HOURS }, (_, i) => thisHour - (HOURS - 1 - i) * HOUR_MS)
      const [people, connections, counts] = await Promise.all([
        countUsers(deps.sql),
        countConnections(deps.sql, deps.now()),
        listEventCounts(deps.sql, new Date(hours[0]!)),
      ])
      return adminPage(deps, asked, 'overview', frame =>
        overviewPage({
          frame,
          people,
          connections,
          calls: barsOf(hours, counts, isCall),
          refused: barsOf(hours, counts, isRefusal),
          upstreams: deps.gateway?.status().map(({ name, state, lastError }) => ({ name, state, lastError })) ?? [],
        }),
      )
    },
    { administrator: true, ...PAGE },
  )

function barsOf(hours: readonly number[], counts: readonly EventCount[], matches: (event: string) => boolean): Bar[] {
  return hours.map(hour => {
    const rows = counts.filter(row => row.hour.getTime() === hour && matches(row.event))
    const total = (of: readonly EventCount[]) => of.reduce((sum, { count }) => sum + count, 0)
    return {
      from: `${new Date(hour).toISOString().slice(11, 13)}:00`,
      count: total(rows),
      failed: total(rows.filter(({ failed }) => failed)),
    }
  })
}
