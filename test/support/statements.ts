import type { Queries } from '../../sql/index.ts'
import type { Deps } from '../../src/deps.ts'

export interface StatementCount {
  /** The statements since the last call: the first word of each; those of a transaction form a nested list. */
  take(): (string | string[])[]
}

/** Counts the statements that requests send to the database, without those of the audit log, which is written in batches. */
export function countStatements(deps: Deps): StatementCount {
  let seen: (string | string[])[] = []
  const counting = (sql: Queries, into: (word: string) => void): Queries =>
    new Proxy(sql, {
      apply(target, self, args) {
        const [strings] = args as [unknown]
        if (Array.isArray(strings) && 'raw' in strings) into(/\w+/.exec(String(strings[0]))![0])
        return Reflect.apply(target, self, args)
      },
    })
  const { sql, db } = deps
  deps.sql = counting(sql, word => seen.push(word))
  deps.db = {
    ...db,
    begin: (work, deadlineMs) => {
      const inside: string[] = []
      seen.push(inside)
      return db.begin(transaction => work(counting(transaction, word => inside.push(word))), deadlineMs)
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
