/** What everything needs, built once and handed down by closure; closed in the opposite order. */
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Queries } from '../sql/index.ts'
import { type AuditWriter, openAuditWriter } from './audit.ts'
import type { Config } from './config.ts'
import { connect, type Database, prepareDataDir } from './db/index.ts'
import { migrate } from './db/migrate.ts'
import { type Limits, openLimits } from './http/rate-limits.ts'
import { deriveKey } from './lib/crypto.ts'
import type { Log } from './lib/log.ts'
import { type Outbound, publicInternet } from './lib/safe-fetch.ts'
import { openReplica, type Replica } from './oauth/replicas.ts'
import { openProviders, type Providers } from './signin/providers.ts'

export interface Deps {
  config: Config
  log: Log
  /** The clock. Tests own it; statements get it as a parameter. */
  now: () => Date
  db: Database
  /** The pool's statements; inside a transaction use the one it hands you. */
  sql: Queries
  secrets: Secrets
  audit: AuditWriter
  /** Counters of this replica; see http/rate-limits. */
  limits: Limits
  /** How documents of strangers are fetched. */
  outbound: Outbound
  providers: Providers
  replica: Replica
  /** Aborted when the server stops: what would keep a connection open for ever ends itself. */
  stopping: AbortController
  /** Ends everything that was opened, writing what waits. */
  close(): Promise<void>
}

/** Keys derived from AUTH_SECRET, one a purpose. */
export interface Secrets {
  /** Signs the cookie that carries a sign-in to the provider and back. */
  signInCookie: Buffer
  /** Makes the CSRF tokens of forms. */
  csrf: Buffer
  /** Seals the private signing keys in the database. */
  signingKeys: Buffer
  /** Derives the successor of a refresh token. */
  refresh: Buffer
}

export interface OpenOptions {
  log: Log
  now?: () => Date
  /** A server: refuses an embedded database that another process has open. A command shares it. */
  serving: boolean
  /** The public internet, unless a test brings its own. */
  outbound?: Outbound
}

/** Connects, migrates and loads. */
export async function openDeps(
  config: Config,
  { log, now = () => new Date(), serving, outbound = publicInternet }: OpenOptions,
): Promise<Deps> {
  const db = await connect({ databaseUrl: config.DATABASE_URL, dataDir: config.DATA_DIR, serving, log })
  try {
    const applied = await migrate(db)
    if (applied.length > 0) log.info({ migrations: applied }, 'the database schema was brought up to date')
    const audit = openAuditWriter(db.sql, log)
    const base = {
      config,
      log,
      now,
      db,
      sql: db.sql,
      secrets: openSecrets(config),
      audit,
      limits: openLimits(),
      outbound,
      providers: openProviders(config),
      stopping: new AbortController(),
    }
    const replica = await openReplica(base)
    return {
      ...base,
      replica,
      async close() {
        base.stopping.abort()
        await audit.close()
        await replica.close()
        await db.close()
      },
    }
  } catch (error) {
    await db.close()
    throw error
  }
}

function openSecrets(config: Config): Secrets {
  const secret = config.AUTH_SECRET ?? generatedSecret(config.DATA_DIR)
  return {
    signInCookie: deriveKey(secret, 'sign-in cookie'),
    csrf: deriveKey(secret, 'csrf'),
    signingKeys: deriveKey(secret, 'signing keys'),
    refresh: deriveKey(secret, 'refresh tokens'),
  }
}

/** Only on the embedded database: a secret of its own in the data directory, made on the first start. */
function generatedSecret(dataDir: string): string {
  const path = join(prepareDataDir(dataDir), 'auth-secret')
  if (!existsSync(path)) writeFileSync(path, randomBytes(48).toString('base64url'), { mode: 0o600, flag: 'wx' })
  return readFileSync(path, 'utf8')
}
