import { record } from '../audit/events.ts'
import { UsageError } from '../lib/errors.ts'
import { rotateKeys } from '../oauth/keys.ts'
import { readArgs, withDeps } from './environment.ts'

export async function run(args: string[]): Promise<void> {
  const { positionals } = readArgs(args, {})
  if (positionals.join(' ') !== 'rotate') throw new UsageError('Usage: mcp-oauth-server key rotate')
  await withDeps(async deps => {
    const kid = await rotateKeys(deps)
    record(deps, 'key.rotated', { detail: { kid } })
    console.log(`New tokens are signed with ${kid}. Tokens of the old key stay valid until they expire.`)
  })
}
