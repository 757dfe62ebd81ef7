import { UsageError } from '../lib/errors.ts'
import { readCa } from './certificates.ts'
import type { Check } from './checks.ts'
import type { PublicOptions } from './doctor-public.ts'
import { counted, print, printJson } from './terminal.ts'

/**
 * Checks an MCP server and its authorization server from outside, or without a URL everything that this server needs, and
 * then itself from outside. Each check is a line, with the fix below it.
 *
 * @throws UsageError if a check fails.
 */
export async function examine(
  address: string | undefined,
  { json, client, idle, ca }: { json?: boolean; client?: string | true; idle?: string; ca?: string },
): Promise<void> {
  if (client !== undefined) {
    const { showAttempts } = await import('./attempts.ts')
    return showAttempts(client === true ? undefined : client, json)
  }
  const checks: Check[] = []
  const options = { silence: readSeconds(idle), ca: ca === undefined ? undefined : readCa(ca) }
  for await (const check of checksFor(address, options)) {
    checks.push(check)
    if (json) continue
    print(`${LABELS[check.state]}${check.name}: ${check.found}`)
    if (check.fix) print(`         ${check.fix}`)
  }
  if (json) printJson(checks)
  const broken = checks.filter(({ state }) => state === 'failed').length
  if (broken > 0) throw new UsageError(`${broken} of ${counted(checks.length, 'check')} failed`)
}

const LABELS = { ok: '     ok ', warning: 'warning ', failed: ' FAILED ' }

const MAX_SILENCE_S = 20

function readSeconds(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const seconds = Number(text)
  if (!(text !== '' && seconds >= 0 && seconds <= MAX_SILENCE_S))
    throw new UsageError(`--idle must be a number of seconds, from 0 to ${MAX_SILENCE_S}`)
  return seconds
}

async function* checksFor(address: string | undefined, options: PublicOptions): AsyncGenerator<Check> {
  if (address === undefined) {
    const { checkHere } = await import('./doctor-local.ts')
    yield* checkHere(options)
    return
  }
  const url = URL.parse(address)
  if (!url || !/^https?:$/.test(url.protocol))
    throw new UsageError(`${address} is not a URL that begins with http:// or https://`)
  const { checkPublic } = await import('./doctor-public.ts')
  yield* checkPublic(url, options)
}
