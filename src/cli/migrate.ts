import { connect } from '../db/index.ts'
import { migrate } from '../db/migrate.ts'
import { openLog } from '../lib/log.ts'
import { readConfig } from './environment.ts'
import { print } from './terminal.ts'

export async function migrateDatabase(): Promise<void> {
  const config = readConfig()
  const db = await connect({
    databaseUrl: config.DATABASE_URL,
    dataDir: config.DATA_DIR,
    serving: false,
    log: openLog('warn'),
  })
  try {
    const applied = await migrate(db)
    print(applied.length > 0 ? `Applied: ${applied.join(', ')}` : 'The schema is up to date.')
  } finally {
    await db.close()
  }
}
