/** Caches recently used accounts, unsealed, so that calls need no database; notifications keep it current. */
import { findUpstreamAccount, type UpstreamAccountRow } from '../../../sql/upstream-accounts.ts'
import type { Base } from '../../base.ts'
import { makeRoom } from '../../lib/bounded.ts'
import { seal, unseal } from '../../lib/crypto.ts'
import type { UpstreamConfig } from '../config.ts'
import type { KnownClient } from './client-identity.ts'
import { urlOf } from './reach.ts'

/** The sealed part of an account. */
export interface Tokens {
  accessToken: string
  refreshToken?: string
  /** The client that they were issued to. */
  client: KnownClient
  tokenEndpoint: string
  revocationEndpoint?: string
  resource: string
}

/** A cached account. */
export interface Account {
  row: UpstreamAccountRow
  /** Absent if it is no longer linked, or was linked to a different address of the upstream. */
  tokens?: Tokens
  /** The Authorization header value. */
  header: string
  /** Milliseconds since 1970; Infinity if unknown. */
  expiresAt: number
  /** When to refresh, before it expires. */
  refreshAt: number
}

export interface AccountMemory {
  /** The cached account: undefined if it is not cached, null if the user has none. */
  now(config: UpstreamConfig, userId: string): Account | null | undefined
  find(config: UpstreamConfig, userId: string): Promise<Account | null>
  forget(upstream: string, userId: string): void
  /** @param isCurrent Whether notifications of changes arrive; without them every account is looked up. */
  trust(isCurrent: boolean): void
  isCurrent(): boolean
}

const MOST = 10_000
/** Tokens are refreshed this long before they expire, or after three quarters of a short lifetime. */
const MARGIN_MS = 60_000

export const accountKey = (upstream: string, userId: string) => `${userId} ${upstream}`

/** Binds sealed tokens to the user, the upstream and its address, so that they cannot be moved to another row. */
const aboutOf = (upstream: string, userId: string, url: string) => JSON.stringify(['account', upstream, userId, url])

export function sealTokens(base: Base, config: UpstreamConfig, userId: string, tokens: Tokens): Buffer {
  return seal(base.secrets.upstreamAccounts, JSON.stringify(tokens), aboutOf(config.name, userId, urlOf(config)))
}

/** @returns undefined if they cannot be unsealed, as after a change of AUTH_SECRET. */
export function unsealTokens(base: Base, row: UpstreamAccountRow): Tokens | undefined {
  if (!row.tokens) return undefined
  try {
    const about = aboutOf(row.upstream, row.user_id, row.url)
    return JSON.parse(unseal(base.secrets.upstreamAccounts, row.tokens, about))
  } catch {
    base.log.warn({ upstream: row.upstream, user: row.user_id }, 'cannot unseal the tokens of a linked account')
    return undefined
  }
}

interface Slot {
  /** The upstream's address when it was loaded: with another one the same row has no tokens. */
  url: string
  ready: Promise<Account | null>
  account?: Account | null
}

export function openAccountMemory(base: Base): AccountMemory {
  const kept = new Map<string, Slot>()
  let current = false

  async function load(config: UpstreamConfig, userId: string): Promise<Account | null> {
    const row = await findUpstreamAccount(base.sql, { upstream: config.name, userId })
    if (!row) return null
    const tokens = row.url === urlOf(config) ? unsealTokens(base, row) : undefined
    const expiresAt = row.expires_at?.getTime() ?? Number.POSITIVE_INFINITY
    const life = expiresAt - row.refreshed_at.getTime()
    return {
      row,
      ...(tokens ? { tokens } : {}),
      header: tokens ? `Bearer ${tokens.accessToken}` : '',
      expiresAt,
      refreshAt: tokens?.refreshToken === undefined ? expiresAt : expiresAt - Math.min(MARGIN_MS, life / 4),
    }
  }

  return {
    now(config, userId) {
      const slot = kept.get(accountKey(config.name, userId))
      return current && slot?.url === urlOf(config) ? slot.account : undefined
    },
    find(config, userId) {
      const key = accountKey(config.name, userId)
      const slot = kept.get(key)
      if (slot?.url === urlOf(config) && current) return slot.ready
      const made: Slot = { url: urlOf(config), ready: load(config, userId) }
      made.ready.then(
        account => {
          made.account = account
        },
        () => {
          if (kept.get(key) === made) kept.delete(key)
        },
      )
      makeRoom(kept, MOST).set(key, made)
      return made.ready
    },
    isCurrent: () => current,
    forget: (upstream, userId) => void kept.delete(accountKey(upstream, userId)),
    trust(isCurrent) {
      current = isCurrent
      kept.clear()
    },
  }
}
