/** The settings in effect, without their secrets, and where each came from. */
import { ALIASES, type Config, SECRET_VARIABLES } from './config.ts'

export interface Setting {
  name: string
  value: string
  /** The variable that it was read from, or `default`. */
  source: string
}

/** @param env The environment that the configuration was read from. */
export function settingsInEffect(config: Config, env: Record<string, string | undefined>): Setting[] {
  return Object.entries(config)
    .filter(([, value]) => value !== undefined && String(value) !== '')
    .map(([name, value]) => ({
      name,
      value: SECRET_VARIABLES.includes(name) ? '(set)' : String(value),
      source:
        [name, ALIASES[name]].flatMap(key => (key ? [key, `${key}_FILE`] : [])).find(key => env[key]) ?? 'default',
    }))
}
