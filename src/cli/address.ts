/** Where a server on the embedded database says which address it has, for commands that run beside it. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config.ts'

const pathOf = (config: Config) => join(config.DATA_DIR, 'address')

export function writeAddress(config: Config): void {
  if (!config.DATABASE_URL) writeFileSync(pathOf(config), `${config.BASE_URL}\n`)
}

/** The configuration with the address of the server, whose port may come from an environment that a command does not have. */
export function withAddress(config: Config): Config {
  if (config.DATABASE_URL || process.env.BASE_URL || process.env.NEXTAUTH_URL) return config
  try {
    return { ...config, BASE_URL: readFileSync(pathOf(config), 'utf8').trim() }
  } catch {
    return config // no server has run here
  }
}
