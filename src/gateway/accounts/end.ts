/** Ends linked accounts: unlinked by the user, or because the user or the upstream is gone. Revokes their tokens (RFC 7009). */
import { processRevocationResponse, revocationRequest } from 'oauth4webapi'
import { type AccountKey, deleteUpstreamAccount, type UpstreamAccountRow } from '../../../sql/upstream-accounts.ts'
import { record } from '../../audit/events.ts'
import type { Base } from '../../base.ts'
import type { UpstreamConfig } from '../config.ts'
import { authenticationOf } from './client-identity.ts'
import { unsealTokens } from './memory.ts'
import { openReach, requestOptions } from './reach.ts'

/** By the user, with a disabled user, or with an upstream that was removed from the file. */
export type Ending = 'user' | 'disabled' | 'removed'

/**
 * Deletes an account at once, and then revokes its tokens at the authorization server if that supports it.
 *
 * @returns undefined if there was no account; `revoked` never rejects.
 */
export async function endAccount(
  base: Base,
  config: UpstreamConfig | undefined,
  { upstream, userId }: AccountKey,
  by: Ending,
  ip: string | null = null,
): Promise<{ revoked: Promise<void> } | undefined> {
  const row = await deleteUpstreamAccount(base.sql, { upstream, userId })
  if (!row) return undefined
  const revoked = revoke(base, config, row).then(done =>
    record(base, 'upstream.unlinked', { userId, ip, detail: { upstream, by, revoked: done } }),
  )
  return { revoked }
}

async function revoke(base: Base, config: UpstreamConfig | undefined, row: UpstreamAccountRow): Promise<boolean> {
  const tokens = unsealTokens(base, row)
  if (!tokens?.revocationEndpoint) return false
  const server = { issuer: row.issuer, revocation_endpoint: tokens.revocationEndpoint }
  const { client } = tokens
  const transport = { type: 'http', kind: 'auto', url: row.url, headers: {} } as const
  const auth = config?.auth
  try {
    // Revoking the refresh token also revokes the access tokens (RFC 7009 2.1).
    const response = await revocationRequest(
      server,
      { client_id: client.id },
      authenticationOf(client),
      tokens.refreshToken ?? tokens.accessToken,
      requestOptions(openReach(base.outbound, { transport, ...(auth ? { auth } : {}) })),
    )
    await processRevocationResponse(response)
    return true
  } catch (error) {
    const { name } = error as Error
    base.log.warn(
      { upstream: row.upstream, user: row.user_id, error: name },
      'could not revoke the tokens of an account',
    )
    return false
  }
}
