/** Users as upstream servers get to know them (`${user.email}`, who may use what): read once in a while, not for each request. */
import { findUserById } from '../../sql/users.ts'
import type { OAuthDeps } from '../oauth/deps.ts'

/** How long a changed address or name may take to be seen. */
const FRESH_MS = 60_000
const MOST = 10_000

export interface Person {
  id: string
  email: string
  name: string
}

/** @returns how to look somebody up. */
export function openPeople(deps: OAuthDeps): (userId: string) => Promise<Person | undefined> {
  const known = new Map<string, { person: Person; readAt: number }>()
  return async userId => {
    const now = deps.now().getTime()
    const found = known.get(userId)
    if (found && found.readAt + FRESH_MS > now && found.readAt <= now) return found.person
    const row = await findUserById(deps.sql, userId)
    known.delete(userId)
    if (!row) return undefined
    const person = { id: row.id, email: row.email, name: row.name }
    if (known.size >= MOST) known.delete(known.keys().next().value!)
    known.set(userId, { person, readAt: now })
    return person
  }
}
