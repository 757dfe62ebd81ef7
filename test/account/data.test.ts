/** What is stored about a person: the file with all of it, and deleting the account. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { closeAccount, createSignInLink, disableUsers } from '../../src/signin/service.ts'
import { sweep } from '../../src/sweeper.ts'
import { runCommand } from '../support/command.ts'
import { csrfOf, deviceTokens, registerClient, rpc, signIn } from '../support/flows.ts'
import { startReplica, startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/until.ts'

setDefaultTimeout(300_000)

let server: TestServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.close())

const headers = (cookie: string) => ({ Cookie: cookie, Accept: 'text/html' })
const form = async (cookie: string) => (await server.get('/account/data', headers(cookie))).text()

async function leave(cookie: string, email: string): Promise<Response> {
  const csrf = csrfOf(await form(cookie), '/account/data/delete')
  return server.post('/account/data/delete', { email, csrf }, headers(cookie))
}

const idOf = async (email: string) =>
  (await server.deps.sql<{ id: string }[]>`select id from users where email = ${email}`)[0]?.id

/** How many rows of each table name a user. */
async function rowsOf(userId: string): Promise<Record<string, number>> {
  const { sql } = server.deps
  const columns = await sql<{ table: string; column: string }[]>`
    select table_name as table, column_name as column
    from information_schema.columns
    where table_schema = 'public' and column_name in ('user_id', 'principal')`
  const counts: Record<string, number> = { users: (await sql`select from users where id = ${userId}`).length }
  for (const { table, column } of columns) {
    const value = column === 'principal' ? `user:${userId}` : userId
    const found = await sql`select from ${sql(table)} where ${sql(column)}::text = ${value}`
    if (found.length > 0) counts[table] = found.length
  }
  return counts
}

test('deleting the account takes everything with it, on every replica; the audit log keeps the id alone', async () => {
  const email = 'grace@example.com'
  const cookie = await signIn(server, email)
  const other = await signIn(server, email)
  const { access_token } = await deviceTokens(server, await registerClient(server), cookie)
  const personal = (await runCommand(['token', 'add', 'script', '--user', email], server.env)).stdout.trim()
  const link = await createSignInLink(server.deps, email)
  const id = (await idOf(email))!
  const { sql } = server.deps
  await sql`
    insert into passkeys (id, user_id, public_key, counter, name, backed_up, created_at)
    values ('hers', ${id}, ${Buffer.from('key')}, 0, 'laptop', false, ${new Date()})`
  await sql`
    insert into upstream_tools (upstream, principal, name, fingerprint, seen_at)
    values ('notes', ${`user:${id}`}, 'read', ${'0'.repeat(64)}, ${new Date()})`
  const replica = await startReplica(server)
  const statuses = async (of: TestServer) =>
    Promise.all([access_token, personal].map(async token => (await rpc(of, token, 'tools/list')).status))
  expect([await statuses(server), await statuses(replica)]).toEqual([
    [200, 200],
    [200, 200],
  ])

  const mistyped = await leave(cookie, 'grace@example.org')
  expect([mistyped.status, await mistyped.text()]).toEqual([
    400,
    expect.stringContaining('That is not your e-mail address. Nothing was deleted.'),
  ])
  expect(await rowsOf(id)).toMatchObject({ users: 1, passkeys: 1, grants: 1, personal_tokens: 1, upstream_tools: 1 })

  const left = await leave(cookie, ' Grace@Example.com ')
  expect([left.status, left.headers.get('location')]).toEqual([303, '/'])
  expect(left.headers.getSetCookie()).toContainEqual(expect.stringMatching(/^mcp-oauth-session=; .*Max-Age=0/))
  await server.deps.audit.flush()
  const { audit_events: events, ...rest } = await rowsOf(id)
  expect([rest, events! > 0]).toEqual([{ users: 0 }, true])
  expect(await statuses(server)).toEqual([401, 401])
  await until(async () => (await statuses(replica)).every(status => status === 401))
  for (const dead of [cookie, other]) expect((await server.get('/account', headers(dead))).status).toBe(303)
  expect(await (await server.get(link.slice(server.base.length))).text()).not.toContain(email)
  const about = await sql`select event, detail from audit_events where user_id = ${id}`
  expect(JSON.stringify(about)).not.toContain('grace')
  expect(about).toContainEqual({ event: 'user.removed', detail: { by: 'user' } })
  await replica.close()
})

test('a removal that was interrupted after its first step cannot be undone, and is finished by the next sweep', async () => {
  const { deps } = server
  const cookie = await signIn(server, 'kay@example.com')
  await deviceTokens(server, await registerClient(server), cookie)
  await signIn(server, 'lee@example.com')
  const [kay, lee] = [(await idOf('kay@example.com'))!, (await idOf('lee@example.com'))!]
  await closeAccount(deps, kay)
  await disableUsers(deps, 'lee@example.com', { leaving: true })
  for (const email of ['kay@example.com', 'lee@example.com']) {
    await disableUsers(deps, email)
    expect((await runCommand(['user', 'enable', email], server.env)).code).toBe(1)
  }
  await Promise.all([sweep(deps), sweep(deps)])
  await deps.audit.flush()
  for (const id of [kay, lee]) {
    const { audit_events: events, ...rest } = await rowsOf(id)
    expect([rest, events! > 0]).toEqual([{ users: 0 }, true])
  }
  const removed = deps.sql`
    select user_id, detail
    from audit_events
    where event = 'user.removed' and user_id = any (${[kay, lee]}::uuid[])
    order by at, detail::text`
  expect(
    [...(await removed)].toSorted((one, other) => (one.user_id === kay ? -1 : other.user_id === kay ? 1 : 0)),
  ).toEqual([
    { user_id: kay, detail: { by: 'user' } },
    { user_id: lee, detail: { by: 'operator', email: 'lee@example.com' } },
  ])
})

test('a sweep ends the connections of all who are removed before it waits for the first of them', async () => {
  const { deps } = server
  const ids: string[] = []
  for (const email of ['mia@example.com', 'noa@example.com']) {
    await deviceTokens(server, await registerClient(server), await signIn(server, email))
    ids.push((await idOf(email))!)
  }
  for (const id of ids) await closeAccount(deps, id)
  await sweep(deps)
  await deps.audit.flush()
  const events = await deps.sql<{ event: string }[]>`
    select event
    from audit_events
    where user_id = any (${ids}::uuid[]) and event in ('grant.revoked', 'user.removed')
    order by id`
  expect(events.map(({ event }) => event)).toEqual(['grant.revoked', 'grant.revoked', 'user.removed', 'user.removed'])
})

test('deleting the account, and removing a passkey, need a recent sign-in', async () => {
  const cookie = await signIn(server, 'joan@example.com')
  const html = await form(cookie)
  const { sql } = server.deps
  await sql`
    insert into passkeys (id, user_id, public_key, counter, name, backed_up, created_at)
    values ('joans', ${(await idOf('joan@example.com'))!}, ${Buffer.from('key')}, 0, 'laptop', false, ${new Date()})`
  const passkeys = await (await server.get('/account/passkeys', headers(cookie))).text()
  server.clock.advance(31 * 60)
  const remove = { id: 'joans', csrf: csrfOf(passkeys, '/account/passkeys/rename') }
  const kept = await server.post('/account/passkeys/remove', remove, headers(cookie))
  expect([kept.headers.get('location'), (await sql`select from passkeys where id = 'joans'`).length]).toEqual([
    '/auth/signin?return_to=%2Faccount%2Fpasskeys&again=1',
    1,
  ])
  const csrf = csrfOf(html, '/account/data/delete')
  const answer = await server.post('/account/data/delete', { email: 'joan@example.com', csrf }, headers(cookie))
  expect([answer.status, answer.headers.get('location')]).toEqual([
    303,
    '/auth/signin?return_to=%2Faccount%2Fdata&again=1',
  ])
  expect(await form(cookie)).toContain('href="/auth/signin?return_to=%2Faccount%2Fdata&again=1"')
  expect(await idOf('joan@example.com')).toBeDefined()
})

test('the only administrator stays; of two who leave at once, one stays', async () => {
  const promote = (email: string) => runCommand(['user', 'promote', email], server.env)
  const ada = await signIn(server, 'ada@example.com')
  await promote('ada@example.com')
  const refused = await leave(ada, 'ada@example.com')
  expect([refused.status, await refused.text()]).toEqual([
    400,
    expect.stringContaining('You are the only administrator of this server.'),
  ])
  expect(await idOf('ada@example.com')).toBeDefined()
  const eve = await signIn(server, 'eve@example.com')
  await promote('eve@example.com')
  const answers = await Promise.all([leave(ada, 'ada@example.com'), leave(eve, 'eve@example.com')])
  expect(answers.map(({ status }) => status).toSorted()).toEqual([303, 400])
  expect(await server.deps.sql`select from users where is_admin and disabled_at is null`).toHaveLength(1)
})

test('the file has its owner’s accounts at sign-in providers and audit log, without who else acted and from where', async () => {
  const cookie = await signIn(server, 'mary@example.com')
  await runCommand(['user', 'promote', 'mary@example.com'], server.env)
  const id = await idOf('mary@example.com')
  server.deps.audit.add({
    at: server.deps.now(),
    event: 'user.invited',
    userId: id!,
    clientId: null,
    grantId: null,
    ip: '198.51.100.9',
    detail: { administrator: 'somebody' },
  })
  await server.deps.sql`
    insert into identities (issuer, subject, user_id, created_at)
    values ('https://issuer.example', 'mary-7', ${id!}, ${server.deps.now()})`
  const answer = await server.get('/account/export', { Cookie: cookie })
  const text = await answer.text()
  const { sign_in_accounts, audit_log, audit_log_is_complete } = JSON.parse(text) as {
    sign_in_accounts: object[]
    audit_log: { event: string; ip: string | null; detail: object }[]
    audit_log_is_complete: boolean
  }
  expect(sign_in_accounts).toMatchObject([{ issuer: 'https://issuer.example', subject: 'mary-7' }])
  expect(audit_log.map(({ event, ip, detail }) => [event, ip, detail]).toSorted()).toEqual([
    ['user.invited', null, {}],
    ['user.link_created', null, {}],
    ['user.promoted', null, {}],
    ['user.signed_in', '127.0.0.1', { how: 'link' }],
  ])
  expect([audit_log_is_complete, text.includes('198.51.100.9'), text.includes('eve@')]).toEqual([true, false, false])

  const clientId = await registerClient(server)
  await server.deps.sql`
    insert into grants (id, client_id, user_id, scope, resource, created_at, used_at, expires_at)
    select md5(n::text)::uuid, ${clientId}, ${id!}, '{mcp}', 'https://mcp.example/mcp', now(), now(), now() + interval '1 year'
    from generate_series(1, 10001) as n`
  await server.deps.sql`
    insert into clients (id, name, source, auth_method, grant_types, redirect_uris, scope, created_at)
    select 'idle-' || n, 'Idle', 'operator', 'none', '{refresh_token}', '{}', '{mcp}', now() from generate_series(1, 10001) as n`
  await server.deps.sql`
    insert into consents (user_id, client_id, redirect_host, resource, scope, created_at)
    select ${id!}, 'idle-' || n, 'client.example', 'https://mcp.example/mcp', '{mcp}', now() from generate_series(1, 10001) as n`
  const most = (await (await server.get('/account/export', { Cookie: cookie })).json()) as {
    connections: object[]
    connections_are_complete: boolean
    allowed_but_not_connected: object[]
    allowed_but_not_connected_are_complete: boolean
  }
  expect([most.connections.length, most.connections_are_complete]).toEqual([10_000, false])
  expect([most.allowed_but_not_connected.length, most.allowed_but_not_connected_are_complete]).toEqual([10_000, false])
  await server.deps.sql`delete from grants where client_id = ${clientId}`
  await server.deps.sql`delete from clients where id like 'idle-%'`
  for (let n = 2; n < 20; n++) await (await server.get('/account/export', { Cookie: cookie })).text()
  expect((await server.get('/account/export', { Cookie: cookie })).status).toBe(429)
})
