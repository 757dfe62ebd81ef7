/**
 * Users' accounts at upstream servers that require OAuth (`auth` in the file). `discovery` finds the authorization server,
 * `trips` links an account, using our `client-identity`, `refresh` renews tokens, and `end` unlinks. Calls get a credential
 * here; tokens leave this folder only as the Authorization header of requests to their upstream. `reach` restricts the
 * addresses of these servers. The OAuth server for our own clients is in `oauth/`.
 */
import {
  type AccountKey,
  listAccountsAt,
  listAccountsOfDisabled,
  listLeftAccounts,
  listUpstreamAccounts,
} from '../../../sql/upstream-accounts.ts'
import type { Base } from '../../base.ts'
import { hmac, sameBytes } from '../../lib/crypto.ts'
import { AppError } from '../../lib/errors.ts'
import type { UpstreamConfig } from '../config.ts'
import { fail } from '../connection.ts'
import type { Credential } from '../credential.ts'
import type { GatewayCaller } from '../exchange.ts'
import { mayUse } from '../policy.ts'
import { openBells } from './bells.ts'
import { type IssueSubjectToken, openClientCredentials } from './client-credential.ts'
import { clientDocument } from './client-identity.ts'
import { type Discovered, discover } from './discovery.ts'
import { type Ending, endAccount } from './end.ts'
import { type Account, accountKey, openAccountMemory } from './memory.ts'
import { personCredential } from './person-credential.ts'
import { openReach, urlOf } from './reach.ts'
import { openRefreshes } from './refresh.ts'
import { beginTrip, finishTrip } from './trips.ts'
import type { Person, PersonAccounts } from './types.ts'

export interface Accounts extends PersonAccounts {
  /** Sets the current upstreams. Accounts at removed ones end; entries that are only disabled keep theirs. */
  serve(configs: readonly UpstreamConfig[], disabled: readonly string[]): void
  /** Call it when a user was disabled or removed. */
  endPerson(userId: string): Promise<void>
  /** @returns undefined for an upstream without `auth`. */
  credentialFor(config: UpstreamConfig, caller: GatewayCaller): Credential | undefined
  /** Whether a caller's account is linked; undefined if it is not in memory. */
  isLinkedNow(config: UpstreamConfig, caller: GatewayCaller): boolean | undefined
  isLinked(config: UpstreamConfig, caller: Pick<GatewayCaller, 'user'>): Promise<boolean>
  /** The page where the caller links an account. */
  linkUrl(config: UpstreamConfig, caller: GatewayCaller): string
  /** Resolves once it is linked with all scopes that the upstream requires. @returns false if that takes longer than `ms`. */
  waitUntilLinked(config: UpstreamConfig, caller: GatewayCaller, ms: number, signal: AbortSignal): Promise<boolean>
  /** Call it when an account has changed, on any replica. */
  changed(upstream: string, userId: string): void
  /** @param isCurrent Whether notifications of changes arrive. */
  trust(isCurrent: boolean): void
  close(): Promise<void>
}

/** How long discovery results are cached, and how long failures. */
const FOUND_MS = 300_000
const FAILED_MS = 5_000
const WATCH_MS = 5_000
/** Accounts at an upstream that a starting server does not know end after a day without use. */
const UNUSED_MS = 86_400_000
const BATCH = 100

/** Identifies the user that a link was made for, so that a user cannot be tricked into using somebody else's link. */
function tagOf(base: Base, userId: string): string {
  return hmac(base.secrets.csrf, `link of ${userId}`).toString('base64url').slice(0, 16)
}

export function openAccounts(base: Base, issueSubjectToken: IssueSubjectToken): Accounts {
  let configs = new Map<string, UpstreamConfig>()
  const memory = openAccountMemory(base)
  const bells = openBells()
  const refreshes = openRefreshes(base, memory, bells, discoverOnce)
  const discoveries = new Map<string, { fingerprint: string; until: number; found: Promise<Discovered> }>()
  const ending = new Set<Promise<void>>()

  /** @throws AppError 404 if this user cannot link an account there. */
  function linkable(person: Person, name: string): UpstreamConfig {
    const config = configs.get(name)
    if (config?.auth?.type !== 'user' || !mayUse(config.users, { user: person, clientId: '' }))
      throw new AppError('There is no such server', 'Your account page lists the servers that you can link.', {
        status: 404,
      })
    return config
  }

  function discoverOnce(config: UpstreamConfig): Promise<Discovered> {
    const { name, fingerprint } = config
    const now = base.now().getTime()
    const known = discoveries.get(name)
    if (known?.fingerprint === fingerprint && known.until > now) return known.found
    const entry = { fingerprint, until: now + FOUND_MS, found: discover(config, openReach(base.outbound, config)) }
    entry.found.catch(() => {
      entry.until = base.now().getTime() + FAILED_MS
    })
    discoveries.set(name, entry)
    return entry.found
  }

  /** The scopes that the upstream requires, those that it required later, and `offline_access` if supported. */
  async function scopeFor(config: UpstreamConfig, userId: string, { scope, server }: Discovered) {
    const account = await memory.find(config, userId)
    const wanted = account
      ? [...(account.row.wanted_scope.length > 0 ? account.row.scope : []), ...account.row.wanted_scope]
      : []
    if (scope === undefined && wanted.length === 0) return undefined
    const supported: unknown = server.scopes_supported
    const offline = Array.isArray(supported) && supported.includes('offline_access') ? ['offline_access'] : []
    return [...new Set([...(scope ?? []), ...wanted, ...offline])]
  }

  function userOf({ user }: Pick<GatewayCaller, 'user'>): string | undefined {
    return user?.id
  }

  const clientCredentials = openClientCredentials(base, discoverOnce, issueSubjectToken)
  /** Machines use the operator's own account, if there is a secret for it. */
  const hasSecret = ({ auth }: UpstreamConfig) => auth?.clientSecret !== undefined
  const isUsable = (account: Account | null) => account?.tokens !== undefined

  async function end(key: AccountKey, by: Ending, ip: string | null = null): Promise<void> {
    const ended = await endAccount(base, configs.get(key.upstream), key, by, ip)
    memory.forget(key.upstream, key.userId)
    if (!ended) return
    const { revoked } = ended
    ending.add(revoked)
    void revoked.finally(() => ending.delete(revoked))
  }

  /** Ends what a query finds, batch by batch, in the background. */
  async function endAll(by: Ending, find: (limit: number) => Promise<{ upstream: string; user_id: string }[]>) {
    try {
      for (let found = BATCH; found === BATCH; ) {
        const rows = await find(BATCH)
        found = rows.length
        for (const row of rows) await end({ upstream: row.upstream, userId: row.user_id }, by)
      }
    } catch (error) {
      base.log.warn({ detail: (error as Error).message }, 'could not end accounts at upstreams that were removed')
    }
  }

  /** What ended while no server was running. Other replicas may have a newer file, so accounts in use stay. */
  async function endLeft(known: string[]): Promise<void> {
    const before = new Date(base.now().getTime() - UNUSED_MS)
    await endAll('removed', limit => listLeftAccounts(base.sql, { upstreams: known, before, limit }))
    await endAll('disabled', limit => listAccountsOfDisabled(base.sql, limit))
  }

  let known: Set<string> | undefined

  return {
    serve(next, disabled) {
      configs = new Map(next.map(config => [config.name, config]))
      const before = known
      known = new Set([...next.filter(({ auth }) => auth?.type === 'user').map(({ name }) => name), ...disabled])
      if (!before) return void endLeft([...known])
      const removed = [...before].filter(name => !known!.has(name))
      if (removed.length > 0) void endAll('removed', limit => listAccountsAt(base.sql, removed, limit))
    },
    async endPerson(userId) {
      clientCredentials.forget(`user:${userId}`)
      for (const { upstream } of await listUpstreamAccounts(base.sql, userId))
        await end({ upstream, userId }, 'disabled')
    },
    credentialFor(config, caller) {
      if (config.auth === undefined) return undefined
      const userId = userOf(caller)
      if (config.auth.type === 'exchange') return clientCredentials.exchanged(config, caller)
      if (config.auth.type === 'client' || (userId === undefined && hasSecret(config)))
        return clientCredentials.own(config)
      if (userId === undefined) throw fail('for_people', 'a machine cannot have an account there')
      return personCredential({ base, memory, refreshes }, config, userId)
    },
    isLinkedNow(config, caller) {
      const userId = userOf(caller)
      if (userId === undefined) return hasSecret(config)
      const account = memory.now(config, userId)
      return account === undefined ? undefined : isUsable(account)
    },
    async isLinked(config, caller) {
      const userId = userOf(caller)
      return userId === undefined ? hasSecret(config) : isUsable(await memory.find(config, userId))
    },
    async waitUntilLinked(config, caller, ms, signal) {
      const userId = userOf(caller)
      if (userId === undefined) return false
      const deadline = base.now().getTime() + ms
      for (;;) {
        const account = await memory.find(config, userId)
        if (account?.tokens && account.row.wanted_scope.length === 0) return true
        const left = deadline - base.now().getTime()
        if (left <= 0 || signal.aborted) return false
        await bells.wait(accountKey(config.name, userId), Math.min(left, WATCH_MS), signal)
        if (!memory.isCurrent()) memory.forget(config.name, userId)
      }
    },
    linkUrl(config, caller) {
      const page = `${base.config.BASE_URL}/account/upstreams/${config.name}`
      const userId = userOf(caller)
      return userId === undefined ? page : `${page}?for=${tagOf(base, userId)}`
    },
    changed(upstream, userId) {
      memory.forget(upstream, userId)
      bells.ring(accountKey(upstream, userId))
    },
    trust: memory.trust,
    async close() {
      await Promise.all(ending)
    },

    async list(person) {
      const rows = new Map((await listUpstreamAccounts(base.sql, person.id)).map(row => [row.upstream, row]))
      const mine = [...configs.values()].filter(
        ({ auth, users }) => auth?.type === 'user' && mayUse(users, { user: person, clientId: '' }),
      )
      return mine.map(config => {
        const row = rows.get(config.name)
        const isLinked = row?.tokens != null && row.url === urlOf(config)
        return {
          name: config.name,
          host: new URL(urlOf(config)).host,
          state: isLinked ? (row.wanted_scope.length > 0 ? 'wants_more' : 'linked') : row ? 'ended' : 'not_linked',
          account: row?.account ?? null,
          scope: isLinked ? row.scope : [],
          linkedAt: row?.linked_at,
          usedAt: row?.used_at ?? null,
        }
      })
    },
    isFor: (person, tag) => sameBytes(Buffer.from(tag), Buffer.from(tagOf(base, person.id))),
    async question(person, name) {
      const config = linkable(person, name)
      const found = await discoverOnce(config)
      const scope = await scopeFor(config, person.id, found)
      const host = new URL(urlOf(config)).host
      const before = (await memory.find(config, person.id))?.row.issuer
      return {
        name,
        host,
        signInHost: new URL(found.server.authorization_endpoint!).host,
        issuerBefore: before === found.server.issuer ? undefined : before,
        scope: scope ?? [],
      }
    },
    async begin(person, traveller, name) {
      const config = linkable(person, name)
      const found = await discoverOnce(config)
      return beginTrip(base, config, traveller, found, await scopeFor(config, person.id, found))
    },
    async finish(person, traveller, name, params) {
      const config = linkable(person, name)
      await finishTrip(base, config, traveller, params)
      memory.forget(name, person.id)
    },
    async unlink(person, name, ip) {
      linkable(person, name)
      await end({ upstream: name, userId: person.id }, 'user', ip)
    },
    document() {
      const names = [...configs.values()].flatMap(({ name, auth }) => (auth?.type === 'user' ? [name] : []))
      return clientDocument(base, names)
    },
  }
}
