import { existsSync, lstatSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { authSecretPath, readAuthSecret, replaceAuthSecret, secretCheckOf } from '../auth-secret.ts'
import type { Config } from '../config.ts'
import { backUp } from '../db/backup.ts'
import type { BackupHeader } from '../db/backup-file.ts'
import { prepareDataDir } from '../db/index.ts'
import { checkBackup, restore as load, type Revived } from '../db/restore.ts'
import { UsageError } from '../lib/errors.ts'
import { openLog } from '../lib/log.ts'
import { printableText } from '../lib/text.ts'
import { readConfig } from './environment.ts'
import { counted, isConfirmed, print, rowProgress, say } from './terminal.ts'

export async function backup(path: string, { withSecret }: { withSecret?: boolean }): Promise<void> {
  const config = readConfig()
  if (!config.DATABASE_URL && !existsSync(join(config.DATA_DIR, 'postgres')))
    throw new UsageError(`There is no database in ${resolve(config.DATA_DIR)}; use -C DIR`)
  // An interrupted backup leaves nothing behind: the handlers of 'exit' run.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      say('Interrupted; no backup was written.')
      process.exit(1)
    })
  const secret = config.AUTH_SECRET ?? readAuthSecret(config.DATA_DIR, false)
  const rows = await backUp({
    ...databaseOf(config),
    path,
    secretCheck: secretCheckOf(secret),
    secret: withSecret ? secret : undefined,
    onProgress: rowProgress('Backing up'),
  })
  print(`Wrote ${counted(rows, 'row')} to ${path}.`)
  say(
    withSecret
      ? 'It includes AUTH_SECRET: whoever can read it can sign tokens. Keep it as safe as the server.'
      : `It does not include AUTH_SECRET, without which it is useless: back up ${config.AUTH_SECRET ? 'that' : authSecretPath(config.DATA_DIR)} as well.`,
  )
}

export async function restore(
  path: string,
  { replace = false, yes }: { replace?: boolean; yes?: boolean },
): Promise<void> {
  const config = readConfig()
  const header = await checkBackup(path, rowProgress('Checking'))
  const secret = secretToPut(config, header)
  const work = () =>
    load({
      ...databaseOf(config),
      path,
      header,
      replace,
      onProgress: rowProgress('Restoring'),
      async confirm(revived) {
        if (!replace) return true
        tell(revived)
        return yes || isConfirmed(`Replace what is in the database by the state of ${header.createdAt}?`)
      },
    })
  const done = await (secret === undefined ? work() : replaceAuthSecret(prepareDataDir(config.DATA_DIR), secret, work))
  if (!done) throw new UsageError('Nothing was changed.')
  print(`Restored ${counted(header.rows, 'row')}, the state of ${header.createdAt}.`)
  // With --replace, what is valid again has been listed.
  const valid = replace ? '' : 'Whatever was revoked, disabled or removed after that is valid again. '
  say(
    `${valid}Apps that have refreshed their tokens since must be connected again. See “After you restore a backup” in the README.`,
  )
}

function databaseOf({ DATABASE_URL, DATA_DIR }: Config) {
  return { databaseUrl: DATABASE_URL, dataDir: DATA_DIR, log: openLog('warn') }
}

function tell(revived: readonly Revived[]): void {
  const count = revived[0]?.count ?? 0
  const shown = count > revived.length ? ` (${count}, of which these are the first)` : ''
  say(count === 0 ? 'It revives nothing that has ended since.' : `It revives what has ended since${shown}:`)
  for (const { kind, label } of revived) say(`  ${kind}: ${printableText(label, 300)}`)
}

/**
 * Makes sure that the keys in a backup can be unsealed.
 *
 * @returns its secret, if that has to be put in place.
 * @throws UsageError if the configured secret is another one.
 */
function secretToPut(config: Config, { secretCheck, secret }: BackupHeader): string | undefined {
  const isHere = lstatSync(authSecretPath(config.DATA_DIR), { throwIfNoEntry: false }) !== undefined
  const embedded = !config.DATABASE_URL
  const configured = config.AUTH_SECRET ?? (embedded && isHere ? readAuthSecret(config.DATA_DIR, false) : undefined)
  if (configured !== undefined && secretCheckOf(configured) === secretCheck) return undefined
  if (secret !== undefined && embedded && !config.AUTH_SECRET) return secret
  if (secret !== undefined)
    throw new UsageError(
      'AUTH_SECRET is not the one of the backup. Set it to the value of "secret" in the first line of: gunzip -c FILE',
    )
  throw new UsageError(
    configured === undefined
      ? 'The backup has no secret: set AUTH_SECRET or AUTH_SECRET_FILE to that of the server that it was made of'
      : 'The backup was made with another AUTH_SECRET, and its keys cannot be unsealed with this one: set AUTH_SECRET or AUTH_SECRET_FILE to that of the server that it was made of',
  )
}
