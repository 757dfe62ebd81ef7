/** How many people and connections there are, and what was called and refused in each hour of the last day. */
import { type EventCount, listEventCounts } from '../../sql/event-counts.ts'
import { countConnections } from '../../sql/grants.ts'
import { countUsers } from '../../sql/users.ts'
import type { Bar } from '../../views/admin/overview.tsx'
import type { Base } from '../base.ts'

const HOURS = 24
const HOUR_MS = 3_600_000

const isCall = (event: string) => event === 'tool.called' || event === 'upstream.called'
const isRefusal = (event: string) => /refused|wrong_code|unauthorized|replayed|reused/.test(event)

export interface Figures {
  people: number
  connections: number
  /** By hour, the oldest first. */
  calls: Bar[]
  refused: Bar[]
}

export async function figuresOf({ sql, now }: Pick<Base, 'sql' | 'now'>): Promise<Figures> {
  const thisHour = Math.floor(now().getTime() / HOUR_MS) * HOUR_MS
  const hours = Array.from({ length: HOURS }, (_, i) => thisHour - (HOURS - 1 - i) * HOUR_MS)
  const [people, connections, counts] = await Promise.all([
    countUsers(sql),
    countConnections(sql, now()),
    listEventCounts(sql, new Date(hours[0]!)),
  ])
  return { people, connections, calls: barsOf(hours, counts, isCall), refused: barsOf(hours, counts, isRefusal) }
}

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
