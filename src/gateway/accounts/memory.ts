/** Accounts that calls have asked for, unsealed, so that a call needs no database; notifications keep that true. */
import { findUpstreamAccount, type UpstreamAccountRow } from '../../../sql/upstream-accounts.ts'
import type { Base } from '../../base.ts'
import { seal, unseal } from '../../lib/crypto.ts'
import type { UpstreamConfig } from '../config.ts'
import type { KnownClient } from './client-identity.ts'
import { urlOf } from './reach.ts'

/** What is sealed of an account. */
export interface Tokens {
  accessToken: string
  refreshToken?: string
  /** To which they were given, and where they are renewed and revoked. */
  client: KnownClient
  tokenEndpoint: string
  revocationEndpoint?: string
  resource: string
}

/** An account as it is known. */
export interface Account {
  row: UpstreamAccountRow
  /** Absent: it is not linked any more, or to another address than the upstream has now. */
  tokens?: Tokens
  /** The value of Authorization. */
  header: string
  /** Milliseconds; never, if the upstream did not say. */
  expiresAt: number
  /** Before it expires. */
  refreshAt: number
}

export interface AccountMemory {
  /** What is in memory: nothing if nobody has asked yet, null for somebody without an account. */
  now(config: UpstreamConfig, userId: string): Account | null | undefined
  find(config: UpstreamConfig, userId: string): Promise<Account | null>
  forget(upstream: string, userId: string): void
  /** @param isCurrent Whether changes are heard of; else everything is looked up. */
  trust(isCurrent: boolean): void
  isCurrent(): boolean
}

const MOST = 10_000
/** Tokens are renewed this long before they expire, or after three quarters of a shorter life. */
const MARGIN_MS = 60_000

export const accountKey = (upstream: string, userId: string) => `${userId} ${upstream}`

/** Tokens go with one person, one upstream and one address of it: sealed ones of another row are no tokens. */
const aboutOf = (upstream: string, userId: string, url: string) => JSON.stringify(['account', upstream, userId, url])

export function sealTokens(base: Base, config: UpstreamConfig, userId: string, tokens: Tokens): Buffer {
  return seal(base.secrets.upstreamAccounts, JSON.stringify(tokens), aboutOf(config.name, userId, urlOf(config)))
}

/** @returns nothing if they cannot be read, as after a change of AUTH_SECRET. */
export function unsealTokens(base: Base, row: UpstreamAccountRow): Tokens | undefined {
  if (!row.tokens) return undefined
  try {
    const about = aboutOf(row.upstream, row.user_id, row.url)
    return JSON.parse(unseal(base.secrets.upstreamAccounts, row.tokens, about))
  } catch {
    base.log.warn({ upstream: row.upstream, user: row.user_id }, 'tokens of a linked account cannot be read')
    return undefined
  }
}

export function openAccountMemory(base: Base): AccountMemory {
  const kept = new Map<string, { ready: Promise<Account | null>; account?: Account | null }>()
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
    now: (config, userId) => (current ? kept.get(accountKey(config.name, userId))?.account : undefined),
    find(config, userId) {
      const key = accountKey(config.name, userId)
      const slot = kept.get(key)
      if (slot && current) return slot.ready
      const made: { ready: Promise<Account | null>; account?: Account | null } = { ready: load(config, userId) }
      made.ready.then(
        account => {
          made.account = account
        },
        () => {
          if (kept.get(key) === made) kept.delete(key)
        },
      )
      if (kept.size >= MOST) kept.delete(kept.keys().next().value!)
      kept.set(key, made)
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
