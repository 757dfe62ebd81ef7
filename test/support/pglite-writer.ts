/**
 * Writes rows into the embedded database of DATA_DIR one after another and says the number of each once it is stored,
 * until it is killed.
 */
import { connect } from '../../src/db/index.ts'
import { openLog } from '../../src/lib/log.ts'

const db = await connect({
  databaseUrl: undefined,
  dataDir: process.env.DATA_DIR!,
  serving: true,
  log: openLog('silent'),
})
await db.sql`create table if not exists written (number integer primary key, padding text)`
const [row] = await db.sql<{ next: number }[]>`select coalesce(max(number), 0) + 1 as next from written`
for (let number = row!.next; ; number++) {
  await db.sql`insert into written values (${number}, ${'x'.repeat(500)})`
  process.stdout.write(`stored ${number}\n`)
}
