import type { Queries } from '../../sql/index.ts'
import type { Deps } from '../../src/deps.ts'

export interface StatementCount {
  /** The statements since the last look: their first words, those of a transaction as one list in the list. */
  take(): (string | string[])[]
}

/** Counts what the requests of a server ask its database. The audit log, written in batches, is not part of it. */
export function countStatements(deps: Deps): StatementCount {
  let seen: (string | string[])[] = []
  const counting = (sql: Queries, into: (words: string) => void): Queries =>
    new Proxy(sql, {
      apply(target, self, args) {
        const [strings] = args as [unknown]
        if (Array.isArray(strings) && 'raw' in strings)
          into(String(strings[0]).trim().split(/\s+/).slice(0, 2).join(' '))
        return Reflect.apply(target, self, args)
      },
    })
  const { sql, db } = deps
  deps.sql = counting(sql, words => seen.push(words))
  deps.db = {
    ...db,
    begin: (work, deadlineMs) => {
      const inside: string[] = []
      seen.push(inside)
      return db.begin(transaction => work(counting(transaction, words => inside.push(words))), deadlineMs)
    },
  }
  return {
    take() {
      const taken = seen
      seen = []
      return taken
    },
  }
}
