import { UsageError } from '../lib/errors.ts'
import type { Check } from './checks.ts'
import { print, printJson } from './terminal.ts'

/**
 * Checks an MCP server and its authorization server from outside, or without a URL everything that this server needs, and
 * then itself from outside. Each check is a line, with the fix below it.
 *
 * @throws UsageError if a check fails.
 */
export async function examine(
  address: string | undefined,
  { json, client }: { json?: boolean; client?: string | true },
): Promise<void> {
  if (client !== undefined) {
    const { showAttempts } = await import('./attempts.ts')
    return showAttempts(client === true ? undefined : client, json)
  }
  const checks: Check[] = []
  for await (const check of checksFor(address)) {
    checks.push(check)
    if (json) continue
    print(`${LABELS[check.state]}${check.name}: ${check.found}`)
    if (check.fix) print(`         ${check.fix}`)
  }
  if (json) printJson(checks)
  const broken = checks.filter(({ state }) => state === 'failed').length
  if (broken > 0) throw new UsageError(`${broken} of ${checks.length} checks failed`)
}

const LABELS = { ok: '     ok ', warning: 'warning ', failed: ' FAILED ' }

async function* checksFor(address: string | undefined): AsyncGenerator<Check> {
  if (address === undefined) {
    const { checkHere } = await import('./doctor-local.ts')
    yield* checkHere()
    return
  }
  const url = URL.parse(address)
  if (!url || !/^https?:$/.test(url.protocol))
    throw new UsageError(`${address} is not a URL that begins with http:// or https://`)
  const { checkPublic } = await import('./doctor-public.ts')
  yield* checkPublic(url)
}
