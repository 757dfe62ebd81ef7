/** Warns of secret files that other users of the machine can read. */
import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { authSecretPath } from '../auth-secret.ts'
import { type Config, SECRET_VARIABLES } from '../config.ts'

/** @returns one sentence with the fix for each file that every user of the machine can read. */
export function secretFileWarnings(config: Config): string[] {
  const named = SECRET_VARIABLES.map(name => `${name}_FILE`).filter(name => process.env[name])
  const files = named.map(name => ({ name, path: process.env[name]! }))
  if (!config.DATABASE_URL) files.push({ name: 'the generated secret', path: authSecretPath(config.DATA_DIR) })
  if (holdsSecret('.env')) files.push({ name: '.env', path: '.env' })
  return files.flatMap(({ name, path }) => {
    const stat = statSync(path, { throwIfNoEntry: false })
    if (!stat || (stat.mode & 0o007) === 0) return []
    const file = resolve(path)
    const own = stat.uid === process.getuid?.() ? '' : `chown ${process.getuid?.()} ${file} && `
    return [`${name} can be read by every user of this machine; run: ${own}chmod 600 ${file}`]
  })
}

function holdsSecret(path: string): boolean {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return false
  const lines = readFileSync(path, 'utf8').split('\n')
  return lines.some(line =>
    SECRET_VARIABLES.some(name => new RegExp(`^\\s*(export\\s+)?${name}\\s*=\\s*\\S`).test(line)),
  )
}
