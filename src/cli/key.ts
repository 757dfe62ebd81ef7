import { record } from '../audit/events.ts'
import { UsageError } from '../lib/errors.ts'
import { KEY_SET_SECONDS, replaceKeys, rotateKeys } from '../oauth/keys.ts'
import { rememberUntil } from '../oauth/memory.ts'
import { readArgs, withDeps } from './environment.ts'

export async function run(args: string[]): Promise<void> {
  const { values, positionals } = readArgs(args, { revoke: { type: 'boolean', default: false } })
  if (positionals.join(' ') !== 'rotate') throw new UsageError('Usage: mcp-oauth-server key rotate [--revoke]')
  const minutes = KEY_SET_SECONDS / 60
  await withDeps(async deps => {
    if (values.revoke) {
      const { kid } = await replaceKeys(deps, rememberUntil(deps))
      record(deps, 'key.rotated', { detail: { kid, revoked: true } })
      console.log(`New tokens are signed with ${kid}; all earlier access tokens are refused.`)
      console.error(
        `Your own servers may keep trusting the old keys from a cached key set for up to ${minutes} minutes.`,
      )
      return
    }
    const { kid, signsAt } = await rotateKeys(deps)
    record(deps, 'key.rotated', { detail: { kid } })
    console.log(
      `New tokens are signed with ${kid} from ${signsAt.toISOString()}, in ${minutes} minutes, when every cached key set contains it. Tokens signed with the old key stay valid until they expire.`,
    )
  })
}
