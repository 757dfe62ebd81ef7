/** Who may sign in, and as which user: admission, invitations, one-time links, administrators and disabled users. */
import { randomUUID } from 'node:crypto'
import type { Queries } from '../../sql/index.ts'
import {
  deleteSessionsOfUsers,
  deleteSignInLinksOfUsers,
  findSignInLink,
  insertSignInLink,
  consumeSignInLink as useLink,
} from '../../sql/sessions.ts'
import {
  disableByAddress,
  disableLeaving,
  enableByAddress,
  findAdministrator,
  findInvitedUser,
  findUserByEmail,
  findUserByIdentity,
  insertIdentity,
  insertUser,
  lockAdministrators,
  lockIdentities,
  listUsers as queryUsers,
  setAdministrators,
  type UserRow,
  updateSignedInUser,
} from '../../sql/users.ts'
import { record, recordRepeatable } from '../audit/events.ts'
import type { Base } from '../base.ts'
import type { Config } from '../config.ts'
import { inTransaction } from '../db/index.ts'
import { hashSecret, isSecret, newSecret } from '../lib/crypto.ts'
import { AppError } from '../lib/errors.ts'
import type { ExternalIdentity } from './identity.ts'

/** Lifetime of a one-time link, in minutes. */
export const LINK_MINUTES = 15

/**
 * Admits a user who signed in with a provider. Known users are found by issuer and subject; a new user must be allowed by
 * address or domain, or invited, and the provider must have verified the address.
 *
 * @throws AppError 403 if they may not sign in.
 */
export async function admit(deps: Base, identity: ExternalIdentity, ip: string | null): Promise<UserRow> {
  const now = deps.now()
  const verified = identity.emailVerified
  const user = await inTransaction(deps, async sql => {
    const user = await findOrEnrol(deps, sql, identity, now)
    if (!user || user.disabled_at) return undefined
    await updateSignedInUser(sql, {
      id: user.id,
      // Operators grant rights by address, so an unverified address must not get them.
      email: verified ? identity.email : null,
      name: identity.name,
      isAdmin: verified && deps.config.ADMIN_EMAILS.includes(identity.email.toLowerCase()),
      now,
    })
    return user
  })
  if (!user) {
    recordRepeatable(
      deps,
      'user.refused',
      { ip, detail: { issuer: identity.issuer, email: identity.email.slice(0, 320), verified } },
      `${identity.issuer} ${verified} ${identity.email}`,
    )
    throw verified
      ? new AppError(
          'You have no access to this server',
          'You are signed in with the provider, but this address is not allowed here. Ask the operator of this server to invite you.',
          { status: 403 },
        )
      : new AppError(
          'Your address is not verified',
          'Verify your e-mail address with the sign-in provider, then sign in again.',
          { status: 403 },
        )
  }
  return user
}

async function findOrEnrol(
  deps: Base,
  sql: Queries,
  identity: ExternalIdentity,
  now: Date,
): Promise<UserRow | undefined> {
  const { issuer, subject, email } = identity
  const known = await findUserByIdentity(sql, issuer, subject)
  if (known || !identity.emailVerified) return known
  // Serialize concurrent first sign-ins (two tabs, or two identities with one invited address).
  await lockIdentities(sql)
  const enrolled = await findUserByIdentity(sql, issuer, subject)
  if (enrolled) return enrolled
  const invited = await findInvitedUser(sql, email)
  if (invited?.disabled_at || (!invited && !isAllowed(deps.config, email))) return undefined
  const user =
    invited ??
    (await insertUser(sql, { id: randomUUID(), email, name: identity.name, isAdmin: false, invitedAt: null, now }))
  await insertIdentity(sql, { issuer, subject, userId: user.id, now })
  return user
}

function isAllowed(config: Config, email: string): boolean {
  const address = email.toLowerCase()
  const domain = address.slice(address.lastIndexOf('@') + 1)
  return (
    config.ADMIN_EMAILS.includes(address) ||
    config.ALLOWED_EMAILS.includes(address) ||
    config.ALLOWED_DOMAINS.includes(domain)
  )
}

/** Lets somebody sign in through a provider that has verified this address. @returns the user, created if necessary. */
export async function inviteUser(deps: Base, email: string, isAdmin = false): Promise<UserRow> {
  const user =
    (await findUserByEmail(deps.sql, email)) ??
    (await insertUser(deps.sql, { id: randomUUID(), email, name: '', isAdmin, invitedAt: deps.now(), now: deps.now() }))
  if (isAdmin && !user.is_admin) await promoteUsers(deps, email)
  return user
}

/**
 * The administrator whose one-time link the server prints without a provider: the configured one, else an existing one, so
 * that a demoted administrator stays demoted, else the built-in one.
 */
export async function greetedAdministrator({ config, sql }: Base): Promise<string> {
  return config.ADMIN_EMAILS[0] ?? (await findAdministrator(sql))?.email ?? 'admin@localhost'
}

/** Makes all users with this address administrators. @returns these users. */
export async function promoteUsers(deps: Base, email: string): Promise<{ id: string }[]> {
  const users = await setAdministrators(deps.sql, email, true)
  for (const { id } of users) record(deps, 'user.promoted', { userId: id })
  return users
}

/** Reverses {@link promoteUsers}. The caller must revoke their grants with the scope `admin`. @returns these users. */
export async function demoteUsers(deps: Base, email: string): Promise<{ id: string }[]> {
  const users = await setAdministrators(deps.sql, email, false)
  for (const { id } of users) record(deps, 'user.demoted', { userId: id })
  return users
}

/**
 * Disables all users with this address: they are signed out, their links stop working, and they cannot sign in. The caller
 * must revoke their grants.
 *
 * @param leaving Whether the caller removes them next. @returns these users.
 */
export async function disableUsers(
  deps: Base,
  email: string,
  { leaving = false }: { leaving?: boolean } = {},
): Promise<{ id: string }[]> {
  const users = await inTransaction(deps, async sql => {
    // Users first: this waits for a sign-in in progress, whose session is then deleted with the others.
    const disabled = await disableByAddress(sql, { email, leaving, now: deps.now() })
    const ids = disabled.map(({ id }) => id)
    await deleteSessionsOfUsers(sql, ids)
    await deleteSignInLinksOfUsers(sql, ids)
    return disabled
  })
  for (const { id } of users) record(deps, 'user.disabled', { userId: id })
  return users
}

/**
 * Signs one user out everywhere and blocks their sign-in, before they are removed at their own wish.
 *
 * @returns false if they are the only administrator: nothing is changed then.
 */
export async function closeAccount(deps: Base, userId: string): Promise<boolean> {
  return inTransaction(deps, async sql => {
    // Locked, so that two administrators who leave at the same moment do not both find the other.
    const administrators = await lockAdministrators(sql)
    if (administrators.length === 1 && administrators[0]!.id === userId) return false
    await disableLeaving(sql, userId, deps.now())
    await deleteSessionsOfUsers(sql, [userId])
    await deleteSignInLinksOfUsers(sql, [userId])
    return true
  })
}

/** Reverses {@link disableUsers}, unless they are being removed: they can sign in again, but must reconnect their apps. */
export async function enableUsers(deps: Base, email: string): Promise<{ id: string }[]> {
  const users = await enableByAddress(deps.sql, email)
  for (const { id } of users) record(deps, 'user.enabled', { userId: id })
  return users
}

/** Creates a link that signs somebody in once, within {@link LINK_MINUTES}. Only its hash is stored. */
export async function createSignInLink(
  deps: Base,
  email: string,
  options: { isAdmin?: boolean } = {},
): Promise<string> {
  const user = await inviteUser(deps, email, options.isAdmin)
  const token = newSecret('signInLink')
  const now = deps.now()
  await insertSignInLink(deps.sql, {
    tokenHash: hashSecret(token),
    userId: user.id,
    now,
    expiresAt: new Date(now.getTime() + LINK_MINUTES * 60_000),
  })
  record(deps, 'user.link_created', { userId: user.id })
  return `${deps.config.BASE_URL}/auth/signin/link?token=${token}`
}

/** The person that a one-time link would sign in. @returns their address. @throws AppError as {@link useSignInLink} does. */
export async function ownerOfSignInLink(deps: Base, token: string, ip: string | null): Promise<string> {
  const email = isSecret('signInLink', token)
    ? await findSignInLink(deps.sql, { tokenHash: hashSecret(token), now: deps.now() })
    : undefined
  return email ?? refuseLink(deps, ip)
}

/** Consumes a one-time link. @throws AppError if it is unknown, expired or used, with the same message for all. */
export async function useSignInLink(deps: Base, token: string, ip: string | null): Promise<{ userId: string }> {
  const used = isSecret('signInLink', token)
    ? await useLink(deps.sql, { tokenHash: hashSecret(token), now: deps.now() })
    : undefined
  return { userId: used ? used.user_id : refuseLink(deps, ip) }
}

function refuseLink(deps: Base, ip: string | null): never {
  recordRepeatable(deps, 'user.refused', { ip, detail: { how: 'link' } }, 'link')
  throw new AppError(
    'This link no longer works',
    'A sign-in link works once, and only for a few minutes. Ask the operator of this server for a new one.',
    { status: 403 },
  )
}

const PAGE = 200

/** All users, by address, read in pages. */
export async function* listUsers(deps: Base): AsyncGenerator<UserRow> {
  let after: UserRow | undefined
  for (;;) {
    const page = await usersAfter(deps, { after, limit: PAGE })
    yield* page
    after = page.at(-1)
    if (page.length < PAGE) return
  }
}

/** One page of the users whose address begins with `prefix`, by address. */
export function usersAfter(
  { sql }: Base,
  { prefix = '', ...page }: { prefix?: string; after: Pick<UserRow, 'id' | 'email'> | undefined; limit: number },
): Promise<UserRow[]> {
  return queryUsers(sql, { prefix: prefix.toLowerCase(), ...page })
}

/** The users with this address. */
export async function usersWithAddress({ sql }: Base, email: string): Promise<UserRow[]> {
  const address = email.toLowerCase()
  const users = await queryUsers(sql, { prefix: address, after: undefined, limit: PAGE })
  return users.filter(user => user.email.toLowerCase() === address)
}
