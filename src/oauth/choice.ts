/** What somebody leaves of the scopes that an app asks for. */
import { fieldOf } from '../../views/permissions.tsx'
import type { Params } from '../http/params.ts'
import { allows, type Scopes } from './scopes.ts'

/** Has no effect of its own, so there is nothing to choose. */
const SILENT = 'offline_access'

/** The scopes to choose from: `mcp` as its parts. */
export function choicesOf(scopes: Scopes, asked: readonly string[]): string[] {
  const parts = asked.flatMap(scope =>
    scope === 'mcp' ? scopes.names.filter(name => name !== 'mcp' && allows(['mcp'], name)) : [scope],
  )
  return [...new Set(parts)].filter(scope => scope !== SILENT)
}

/**
 * The scopes that a form leaves of those that were asked for.
 *
 * @returns all of them if the form offered no choice, none if nothing useful is left.
 */
export function chosenOf(scopes: Scopes, asked: readonly string[], form: Params): string[] {
  if (form.choose === undefined) return [...asked]
  const choices = choicesOf(scopes, asked)
  const chosen = choices.filter(scope => form[fieldOf(scope)] !== undefined)
  if (chosen.length === choices.length) return [...asked]
  return chosen.length > 0 && asked.includes(SILENT) ? [...chosen, SILENT] : chosen
}
