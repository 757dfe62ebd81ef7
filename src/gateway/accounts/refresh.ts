/**
 * Refreshes the tokens of an account, once across all replicas. The row says which replica does it, so that no transaction
 * stays open while another server answers.
 */
import {
  processRefreshTokenResponse,
  ResponseBodyError,
  refreshTokenGrantRequest,
  type TokenEndpointResponse,
} from 'oauth4webapi'
import {
  type AccountEnd,
  endUpstreamAccount,
  postponeRefresh,
  refreshUpstreamAccount,
  takeRefreshTurn,
} from '../../../sql/upstream-accounts.ts'
import { recordRepeatable } from '../../audit/events.ts'
import type { Base } from '../../base.ts'
import { SafeFetchError } from '../../lib/safe-fetch.ts'
import type { UpstreamConfig } from '../config.ts'
import { fail } from '../connection.ts'
import type { Bells } from './bells.ts'
import { authenticationOf, configuredClient, forgetClient } from './client-identity.ts'
import type { Discovered } from './discovery.ts'
import { type Account, type AccountMemory, accountKey, sealTokens, type Tokens } from './memory.ts'
import { openReach, requestOptions } from './reach.ts'

/** Longer than a refresh with one retry can take. */
const TURN_MS = 30_000
const WATCH_MS = 1_000
const PAUSE_MS = 5_000
const PAUSE_MOST_MS = 300_000

export interface Refreshes {
  /**
   * Refreshes the tokens. @returns the account with newer tokens.
   *
   * @throws UpstreamFailure `unlinked` if the user must link it again, `unreachable` if its server does not answer.
   */
  refresh(config: UpstreamConfig, account: Account): Promise<Account>
  /** Deletes tokens that no longer work. */
  end(config: UpstreamConfig, account: Account, ended: AccountEnd): Promise<void>
}

/** @param bells Ring when an account changes. @param discover What the upstream says now of its authorization server. */
export function openRefreshes(
  base: Base,
  memory: AccountMemory,
  bells: Bells,
  discover: (config: UpstreamConfig) => Promise<Discovered>,
): Refreshes {
  const running = new Map<string, Promise<Account>>()

  async function end(config: UpstreamConfig, { row }: Account, ended: AccountEnd): Promise<void> {
    const { user_id: userId } = row
    memory.forget(config.name, userId)
    if (!row.tokens) return
    const isFirst = await endUpstreamAccount(base.sql, { upstream: config.name, userId, ended, tokens: row.tokens })
    memory.forget(config.name, userId)
    if (isFirst)
      recordRepeatable(base, 'upstream.link_ended', { userId, detail: { upstream: config.name, why: ended } })
  }

  async function ask(config: UpstreamConfig, issuer: string, tokens: Tokens): Promise<TokenEndpointResponse> {
    const client =
      configuredClient(config)?.id === tokens.client.id ? configuredClientOf(config, tokens) : tokens.client
    const server = { issuer, token_endpoint: tokens.tokenEndpoint }
    const send = async () => {
      const options = {
        ...requestOptions(openReach(base.outbound, config)),
        additionalParameters: { resource: tokens.resource },
      }
      const identity = { client_id: client.id }
      const response = await refreshTokenGrantRequest(
        server,
        identity,
        authenticationOf(client),
        tokens.refreshToken!,
        options,
      )
      return processRefreshTokenResponse(server, identity, response)
    }
    try {
      return await send()
    } catch (error) {
      // The response may have been lost. Retry at once: a server that rotates tokens then returns the same ones.
      if (error instanceof SafeFetchError) return send()
      throw error
    }
  }

  /** Whether the upstream has another authorization server now. One that cannot be found is not another one. */
  async function hasMoved(config: UpstreamConfig, issuer: string): Promise<boolean> {
    // Then its tokens, and the secret, are for the one in the file, whether or not that can be found.
    if (config.auth?.issuer !== undefined) return config.auth.issuer !== issuer
    return discover(config).then(
      ({ server }) => server.issuer !== issuer,
      () => false,
    )
  }

  async function exchange(config: UpstreamConfig, account: Account, tokens: Tokens): Promise<void> {
    const { row } = account
    const key = { upstream: config.name, userId: row.user_id }
    if (await hasMoved(config, row.issuer)) {
      await end(config, account, 'issuer_changed')
      throw fail('unlinked', 'the upstream names another authorization server than the one that issued the tokens')
    }
    try {
      const answer = await ask(config, row.issuer, tokens)
      const now = base.now()
      await refreshUpstreamAccount(base.sql, {
        ...key,
        before: row.tokens!,
        tokens: sealTokens(base, config, row.user_id, {
          ...tokens,
          accessToken: answer.access_token,
          ...(answer.refresh_token ? { refreshToken: answer.refresh_token } : {}),
        }),
        scope: answer.scope === undefined ? row.scope : answer.scope.split(' ').filter(Boolean),
        expiresAt: expiryOf(answer, now),
        now,
      })
      memory.forget(config.name, row.user_id)
      recordRepeatable(base, 'upstream.link_refreshed', { userId: row.user_id, detail: { upstream: config.name } })
    } catch (error) {
      await explain(config, account, error)
    }
  }

  /** @throws UpstreamFailure always. */
  async function explain(config: UpstreamConfig, account: Account, error: unknown): Promise<never> {
    const { row } = account
    const code = error instanceof ResponseBodyError ? error.error : undefined
    if (code === 'invalid_grant') {
      await end(config, account, 'refused')
      throw fail('unlinked', 'the refresh token was refused')
    }
    if (code === 'invalid_client' && config.auth?.clientId === undefined) {
      await forgetClient(base, config, row.issuer)
      await end(config, account, 'refused')
      throw fail('unlinked', 'the authorization server no longer knows our client')
    }
    const detail = isKnownCode(code)
      ? code
      : error instanceof SafeFetchError
        ? `the token endpoint ${error.detail}`
        : 'the response is invalid'
    const pause = Math.min(PAUSE_MS * 2 ** row.failures, PAUSE_MOST_MS)
    const after = new Date(base.now().getTime() + pause)
    await postponeRefresh(base.sql, { upstream: config.name, userId: row.user_id, after })
    memory.forget(config.name, row.user_id)
    base.log.warn(
      { upstream: config.name, user: row.user_id, detail },
      'could not refresh the tokens of a linked account',
    )
    const details = { userId: row.user_id, detail: { upstream: config.name, why: detail } }
    recordRepeatable(base, 'upstream.refresh_failed', details)
    throw fail('unreachable', `its authorization server did not refresh the token: ${detail}`)
  }

  async function renew(config: UpstreamConfig, before: Account): Promise<Account> {
    const { user_id: userId } = before.row
    const key = accountKey(config.name, userId)
    const deadline = base.now().getTime() + TURN_MS
    for (let account = before; ; ) {
      const { row, tokens } = account
      if (!tokens || !row.tokens) throw fail('unlinked', 'the account is no longer linked')
      if (row.refreshed_at.getTime() !== before.row.refreshed_at.getTime()) return account
      if (tokens.refreshToken === undefined) {
        await end(config, account, 'expired')
        throw fail('unlinked', 'the token has expired, and there is no refresh token')
      }
      const now = base.now()
      const turn = { upstream: config.name, userId, tokens: row.tokens, now, until: new Date(now.getTime() + TURN_MS) }
      if (await takeRefreshTurn(base.sql, turn)) await exchange(config, account, tokens)
      else if (row.failures > 0 || now.getTime() > deadline)
        throw fail('unreachable', 'its authorization server has just failed to refresh the token')
      else await bells.wait(key, WATCH_MS)
      memory.forget(config.name, userId)
      const found = await memory.find(config, userId)
      if (!found) throw fail('unlinked', 'the account is no longer linked')
      account = found
    }
  }

  return {
    refresh(config, account) {
      const key = accountKey(config.name, account.row.user_id)
      let renewing = running.get(key)
      if (!renewing) {
        renewing = renew(config, account).finally(() => running.delete(key))
        running.set(key, renewing)
      }
      return renewing
    },
    end,
  }
}

/** The client of the tokens with the currently configured secret, which may have changed. */
function configuredClientOf(config: UpstreamConfig, { client }: Tokens): Tokens['client'] {
  const { clientSecret } = config.auth ?? {}
  return clientSecret === undefined ? client : { ...client, secret: clientSecret }
}

/** @returns null if the response has no expires_in. */
export function expiryOf({ expires_in: seconds }: TokenEndpointResponse, now: Date): Date | null {
  return seconds === undefined ? null : new Date(now.getTime() + Math.min(seconds, LONGEST_S) * 1000)
}
const LONGEST_S = 10 * 365 * 86_400

const CODES = [
  'invalid_request',
  'invalid_client',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
  'invalid_target',
  'temporarily_unavailable',
  'server_error',
  'slow_down',
]
/** Only known codes are logged: other text from a server may contain anything, even tokens. */
export const isKnownCode = (code: unknown): code is string => CODES.includes(code as string)
