import { record } from '../audit/events.ts'
import type { OAuthDeps } from './deps.ts'
import { replaceKeys, rotateKeys } from './keys.ts'
import { rememberUntil } from './memory.ts'

/**
 * Makes a new signing key for an operator. It signs once every cached key set contains it; with `revoke`, at once, and every
 * earlier access token is refused.
 */
export async function rotateSigningKey(
  deps: OAuthDeps,
  { revoke }: { revoke: boolean },
): Promise<{ kid: string; signsAt: Date }> {
  const { kid, signsAt } = revoke
    ? { ...(await replaceKeys(deps, rememberUntil(deps))), signsAt: deps.now() }
    : await rotateKeys(deps)
  record(deps, 'key.rotated', { detail: { kid, ...(revoke ? { revoked: true } : {}) } })
  return { kid, signsAt }
}
