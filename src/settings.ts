/** The settings in effect, without their secrets, and where each came from. */
import { ALIASES, type Config, SECRET_VARIABLES } from './config.ts'

export interface Setting {
  name: string
  value: string
  /** Where it came from: the environment, a file, an option, or `default`. */
  source: string
}

/**
 * @param env The environment that the configuration was read from.
 * @param origins Where its variables came from; those that are not named were there already.
 */
export function settingsInEffect(
  config: Config,
  env: Record<string, string | undefined>,
  origins: Readonly<Record<string, string>> = {},
): Setting[] {
  return Object.entries(config)
    .filter(([, value]) => value !== undefined && String(value) !== '')
    .map(([name, value]) => ({
      name,
      value: SECRET_VARIABLES.includes(name) ? '(set)' : String(value),
      source: sourceOf(name, env, origins),
    }))
}

function sourceOf(
  name: string,
  env: Record<string, string | undefined>,
  origins: Readonly<Record<string, string>>,
): string {
  const variable = [name, ALIASES[name]].flatMap(key => (key ? [key, `${key}_FILE`] : [])).find(key => env[key])
  if (variable === undefined) return 'default'
  const origin = origins[variable] ?? 'environment'
  return variable === name ? origin : `${variable}, ${origin}`
}
