/**
 * Users' accounts at upstream servers that require OAuth (`auth` in the file). `discovery` finds the authorization server,
 * `trips` links an account, using our `client-identity`, `refresh` renews tokens, `end` unlinks, and `endings` says when. Calls get a credential
 * here; tokens leave this folder only as the Authorization header of requests to their upstream. `reach` restricts the
 * addresses of these servers. The OAuth server for our own clients is in `oauth/`.
 */
import { listUpstreamAccounts } from '../../../sql/upstream-accounts.ts'
import type { Base } from '../../base.ts'
import { hmac, sameBytes } from '../../lib/crypto.ts'
import { AppError } from '../../lib/errors.ts'
import type { StopSignal } from '../../lib/stop.ts'
import type { UpstreamConfig } from '../config.ts'
import { fail } from '../connection.ts'
import type { Credential } from '../credential.ts'
import type { GatewayCaller } from '../exchange.ts'
import { mayUse } from '../policy.ts'
import { openBells } from './bells.ts'
import { type IssueSubjectToken, openClientCredentials } from './client-credential.ts'
import { clientDocument } from './client-identity.ts'
import { type Discovered, openDiscoveries } from './discovery.ts'
import { openEndings } from './endings.ts'
import { type Account, accountKey, openAccountMemory } from './memory.ts'
import { personCredential } from './person-credential.ts'
import { urlOf } from './reach.ts'
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
  waitUntilLinked(config: UpstreamConfig, caller: GatewayCaller, ms: number, signal: StopSignal): Promise<boolean>
  /** Call it when an account has changed, on any replica. */
  changed(upstream: string, userId: string): void
  /** @param isCurrent Whether notifications of changes arrive. */
  trust(isCurrent: boolean): void
  close(): Promise<void>
}

const WATCH_MS = 5_000

/** Identifies the user that a link was made for, so that a user cannot be tricked into using somebody else's link. */
function tagOf(base: Base, userId: string): string {
  return hmac(base.secrets.csrf, `link of ${userId}`).toString('base64url').slice(0, 16)
}

export function openAccounts(base: Base, issueSubjectToken: IssueSubjectToken): Accounts {
  let configs = new Map<string, UpstreamConfig>()
  const memory = openAccountMemory(base)
  const bells = openBells()
  const discoverOnce = openDiscoveries(base)
  const refreshes = openRefreshes(base, memory, bells, discoverOnce)
  const endings = openEndings(base, memory, name => configs.get(name))

  /** @throws AppError 404 if this user cannot link an account there. */
  function linkable(person: Person, name: string): UpstreamConfig {
    const config = configs.get(name)
    if (config?.auth?.type !== 'user' || !mayUse(config.users, { user: person, clientId: '' }))
      throw new AppError('There is no such server', 'Your account page lists the servers that you can link.', {
        status: 404,
      })
    return config
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

  let known: Set<string> | undefined

  return {
    serve(next, disabled) {
      configs = new Map(next.map(config => [config.name, config]))
      const before = known
      known = new Set([...next.filter(({ auth }) => auth?.type === 'user').map(({ name }) => name), ...disabled])
      if (!before) return void endings.endLeft([...known])
      const removed = [...before].filter(name => !known!.has(name))
      if (removed.length > 0) void endings.endRemoved(removed)
    },
    async endPerson(userId) {
      clientCredentials.forget(`user:${userId}`)
      for (const { upstream } of await listUpstreamAccounts(base.sql, userId))
        await endings.end({ upstream, userId }, 'disabled')
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
    close: endings.settled,

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
      await endings.end({ upstream: name, userId: person.id }, 'user', ip)
    },
    document() {
      const names = [...configs.values()].flatMap(({ name, auth }) => (auth?.type === 'user' ? [name] : []))
      return clientDocument(base, names)
    },
  }
}
