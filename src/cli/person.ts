/** What belongs to one person: `user show`, and their passkeys and browser sessions. */
import type { UserRow } from '../../sql/users.ts'
import { nameOf } from '../../views/sessions.tsx'
import { TEXTS } from '../../views/texts/index.ts'
import { browserName } from '../account/agents.ts'
import { exportUser, storedAbout } from '../admin/user-export.ts'
import type { Deps } from '../deps.ts'
import { hashSecret } from '../lib/crypto.ts'
import { UsageError } from '../lib/errors.ts'
import { printableText } from '../lib/text.ts'
import { lastUseOf } from '../oauth/uses.ts'
import { listPasskeys, removePasskey } from '../signin/passkeys.ts'
import { usersWithAddress } from '../signin/service.ts'
import { endOtherSession, endSessionsOfUser, sessionsOf } from '../signin/sessions.ts'
import { withDeps } from './environment.ts'
import { counted, print, printJson, printTable } from './terminal.ts'

/** Runs work for all users with an address. @throws UsageError if there are none. */
function withPeople<T>(email: string, work: (deps: Deps, people: UserRow[]) => Promise<T>): Promise<T> {
  return withDeps(async deps => {
    const people = await usersWithAddress(deps, email)
    if (people.length === 0) throw new UsageError(`There is no user with the address ${email}`)
    return work(deps, people)
  })
}

export async function show(email: string, { json }: { json?: boolean }): Promise<void> {
  await withPeople(email, async (deps, people) => {
    if (json) return printJson(await Promise.all(people.map(person => exportUser(deps, person))))
    const rows = (await Promise.all(people.map(person => describe(deps, person)))).flat()
    await printTable({ columns: ['what', 'id', 'name', 'since', 'used'], rows }, deps.now())
  })
}

async function describe(deps: Deps, person: UserRow) {
  const { id, name, is_admin, disabled_at, created_at, signed_in_at } = person
  const stored = await storedAbout(deps, person)
  const role = [is_admin ? 'administrator' : 'user', ...(disabled_at ? ['disabled'] : [])].join(', ')
  const browsers = await sessionsOf(deps, id)
  const rows = [
    ['user', id, `${printableText(name || person.email, 100)} (${role})`, created_at, signed_in_at],
    ...stored.connections.map(one => [
      'connection',
      one.id,
      [one.client_name, one.label].filter(Boolean).join(': '),
      one.created_at,
      lastUseOf(one),
    ]),
    ...stored.personal_access_tokens.map(one => ['token', one.id, one.name, one.created_at, one.used_at]),
    ...stored.passkeys.map(one => ['passkey', passkeyId(one.id), one.name, one.created_at, one.used_at]),
    ...browsers.map(one => ['browser', sessionId(one.id_hash), placeOf(one), one.created_at, null]),
    ...stored.linked_accounts.map(one => ['account', one.name, one.account ?? '', one.linked_at, one.used_at]),
  ]
  return rows as (string | Date | null)[][]
}

/** Short and without a leading hyphen, unlike the ids of browser and database. */
const shortId = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex').slice(0, 12)
const sessionId = (idHash: Uint8Array) => shortId(idHash)
const passkeyId = (id: string) => shortId(hashSecret(id))

const placeOf = ({ user_agent, ip }: { user_agent: string | null; ip: string | null }) =>
  [nameOf(browserName(user_agent), TEXTS.en), ip].filter(Boolean).join(', ')

export async function listKeys(email: string, { json }: { json?: boolean }): Promise<void> {
  await withPeople(email, async (deps, people) => {
    const keys = (await Promise.all(people.map(({ id }) => listPasskeys(deps, id)))).flat()
    if (json)
      return printJson(
        keys.map(({ id, name, transports, backed_up, created_at, used_at }) => ({
          id: passkeyId(id),
          name,
          transports,
          backed_up,
          created_at,
          used_at,
        })),
      )
    const rows = keys.map(({ id, name, created_at, used_at }) => [passkeyId(id), name, created_at, used_at])
    await printTable({ columns: ['id', 'name', 'added', 'used'], rows }, deps.now())
  })
}

export async function removeKey(email: string, id: string): Promise<void> {
  await withPeople(email, async (deps, people) => {
    const hasProviders = deps.providers.size > 0
    for (const { id: userId } of people) {
      const key = (await listPasskeys(deps, userId)).find(one => passkeyId(one.id) === id)
      if (!key) continue
      const name = await removePasskey(deps, { id: key.id, userId, hasProviders })
      if (name === undefined)
        throw new UsageError(
          `It is the only way in which ${email} can sign in. To keep them out: mcp-oauth-server user disable ${email}`,
        )
      return print(`Removed the passkey ${printableText(name, 100)}.`)
    }
    throw new UsageError(`${email} has no passkey ${id}; see: mcp-oauth-server passkey list ${email}`)
  })
}

export async function listBrowsers(email: string, { json }: { json?: boolean }): Promise<void> {
  await withPeople(email, async (deps, people) => {
    const browsers = (await Promise.all(people.map(({ id }) => sessionsOf(deps, id)))).flat()
    if (json) return printJson(browsers.map(({ id_hash, ...browser }) => ({ id: sessionId(id_hash), ...browser })))
    const rows = browsers.map(one => [sessionId(one.id_hash), placeOf(one), one.created_at, one.expires_at])
    await printTable({ columns: ['id', 'browser', 'signed in', 'ends'], rows }, deps.now())
  })
}

export async function endBrowsers(email: string, ids: string[], { all }: { all?: boolean }): Promise<void> {
  if (ids.length > 0 === (all === true)) throw new UsageError('Give ids of browser sessions, or --all')
  await withPeople(email, async (deps, people) => {
    const missing = new Set(ids)
    let count = 0
    for (const { id: userId } of people) {
      if (all) count += await endSessionsOfUser(deps, userId)
      else
        for (const { id_hash: idHash } of await sessionsOf(deps, userId))
          if (missing.delete(sessionId(idHash)) && (await endOtherSession(deps, { idHash, userId }))) count += 1
    }
    print(`Signed ${email} out of ${counted(count, 'browser')}.`)
    if (missing.size > 0) throw new UsageError(`Already ended, or never was: ${[...missing].join(', ')}`)
  })
}
