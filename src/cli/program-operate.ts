/** The commands for tokens, keys, the audit log and backups; see `program`. */
import type { Command } from 'commander'
import { collect, group, json } from './options.ts'

export function defineOperation(program: Command): void {
  definePasskeys(program)
  defineSessions(program)
  defineTokens(program)
  defineKeys(program)
  defineAudit(program)
  defineBackup(program)
}

function defineTokens(program: Command): void {
  const token = group(program, 'token', 'Personal access tokens')
  token
    .command('add <name>')
    .description('Make a personal access token, a bearer token for scripts, and print it')
    .option('--user <email>', 'The person it acts for (default: the administrator)')
    .option('--scope <scope>', 'What it may do (repeatable; default: mcp:tools:read and mcp:tools:call)', collect)
    .option('--resource <url>', 'The MCP endpoint it is for (default: /mcp)')
    .option('--expires <time>', 'After how long, such as 12h, 30d or 1y', '90d')
    .addOption(json())
    .action(async (name, options) => (await import('./token.ts')).add(name, options))
  token
    .command('list')
    .description('List the personal access tokens: id, user, name, scopes, endpoint, expiry, last use')
    .option('--user <email>', 'Only those of this user')
    .addOption(json())
    .action(async options => (await import('./token.ts')).list(options))
  token
    .command('revoke <id...>')
    .description('Revoke personal access tokens: they stop working within a second')
    .action(async ids => (await import('./token.ts')).revoke(ids))
}

function definePasskeys(program: Command): void {
  const passkey = group(program, 'passkey', 'Passkeys of people')
  passkey
    .command('list <email>')
    .description('List the passkeys of somebody: id, name, addition, last use')
    .addOption(json())
    .action(async (email, options) => (await import('./person.ts')).listKeys(email, options))
  passkey
    .command('remove <email> <id>')
    .description('Remove a passkey, unless it is the only way in which they can sign in')
    .action(async (email, id) => (await import('./person.ts')).removeKey(email, id))
}

function defineSessions(program: Command): void {
  const session = group(program, 'session', 'Browsers in which people are signed in')
  session
    .command('list <email>')
    .description('List the browsers in which somebody is signed in: id, browser, sign-in, end')
    .addOption(json())
    .action(async (email, options) => (await import('./person.ts')).listBrowsers(email, options))
  session
    .command('end <email> [id...]')
    .description('Sign somebody out of browsers')
    .option('--all', 'Of all of them')
    .action(async (email, ids, options) => (await import('./person.ts')).endBrowsers(email, ids, options))
}

function defineKeys(program: Command): void {
  const key = group(program, 'key', 'Keys that sign access tokens')
  key
    .command('list')
    .description('List the signing keys: id, creation, first use, retirement')
    .addOption(json())
    .action(async options => (await import('./key.ts')).list(options))
  key
    .command('rotate')
    .description(
      'Sign with a new key, five minutes after it is published; the old one stays valid for the tokens it signed',
    )
    .option('--revoke', 'Use the new key at once, and refuse every access token issued before')
    .action(async options => (await import('./key.ts')).rotate(options))
}

function defineAudit(program: Command): void {
  const audit = group(program, 'audit', 'The audit log')
  const filtered = (command: Command) =>
    command
      .option('--event <name>', 'Only this event, such as user.signed_in')
      .option('--user <email>', 'Only events of the users with this address')
      .option('--client <id>', 'Only events of this client')
      .option('--ip <address>', 'Only events from this address')
      .addOption(json())
  const ranged = (command: Command) =>
    filtered(command)
      .option('--since <time>', 'From this time on, such as 2026-11-01 or 2026-11-01T12:00:00Z')
      .option('--until <time>', 'Before this time')
  ranged(audit.command('list'))
    .description('List events, newest first')
    .option('--limit <n>', 'How many at most', '50')
    .action(async options => (await import('./audit.ts')).list(options))
  filtered(audit.command('tail'))
    .description('Print events as they happen')
    .action(async options => (await import('./audit.ts')).tail(options))
  ranged(audit.command('export'))
    .description('Print all events, newest first, as CSV, or as JSON lines with --json')
    .action(async options => (await import('./audit.ts')).exportAll(options))
}

function defineBackup(program: Command): void {
  program
    .command('backup <file>')
    .description('Write everything in the database to a file, while the server runs')
    .option(
      '--with-secret',
      'Include AUTH_SECRET: then the file is all that a restore needs, and all that a thief needs',
    )
    .action(async (file, options) => (await import('./backup.ts')).backup(file, options))
  program
    .command('restore <file>')
    .description('Load a backup into the configured database, embedded or PostgreSQL')
    .option('--replace', 'Delete what is in the database')
    .option('--yes', 'Do not ask')
    .action(async (file, options) => (await import('./backup.ts')).restore(file, options))
}
