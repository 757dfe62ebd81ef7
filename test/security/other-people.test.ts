/** Nobody sees or ends what belongs to somebody else: each route of account and administration, tried as others would. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { createApp } from '../../src/app.ts'
import { deviceTokens, machineToken, registerClient, rpc, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let ada: string
let eve: string
let machine: string
const HTML = { Accept: 'text/html' }

/** What belongs to Ada. */
const hers = { user: '', connection: '', token: '', session: '', passkey: 'ada-passkey', access: '' }

beforeAll(async () => {
  server = await startServer()
  ada = await signIn(server, 'ada@example.com')
  eve = await signIn(server, 'eve@example.com')
  machine = await machineToken(server, ['admin', 'mcp', 'connections:manage'])
  hers.access = (await deviceTokens(server, await registerClient(server), ada)).access_token
  const { sql } = server.deps
  const [user] = await sql<{ id: string }[]>`select id from users where email = 'ada@example.com'`
  hers.user = user!.id
  await sql`
    insert into passkeys (id, user_id, public_key, counter, name, backed_up, created_at)
    values (${hers.passkey}, ${user!.id}, ${Buffer.from('key')}, 0, 'laptop', false, ${new Date()})`
  const form = { name: 'script', days: '30', 'scope:mcp:tools:read': 'yes' }
  expect((await send(ada, '/account/tokens/add', form, '/account/tokens')).status).toBe(200)
  hers.connection = (await sql<{ id: string }[]>`select id from grants where user_id = ${user!.id}`)[0]!.id
  hers.token = (await sql<{ id: string }[]>`select id from personal_tokens where user_id = ${user!.id}`)[0]!.id
  const [session] = await sql<{ hash: Uint8Array }[]>`select id_hash as hash from sessions where user_id = ${user!.id}`
  hers.session = Buffer.from(session!.hash).toString('base64url')
})
afterAll(() => server.close())

const see = async (cookie: string, path: string) => (await server.get(path, { Cookie: cookie, ...HTML })).text()

/** Sends a form with every CSRF token of a page until one is accepted, as its owner could. */
async function send(cookie: string, path: string, form: Record<string, string>, page: string): Promise<Response> {
  const tokens = [...(await see(cookie, page)).matchAll(/name="csrf" value="([^"]+)"/g)].map(([, token]) => token!)
  let answer: Response | undefined
  for (const csrf of tokens) {
    answer = await server.post(path, { ...form, csrf }, { Cookie: cookie, ...HTML })
    if (answer.status !== 403) return answer
  }
  return answer!
}

/** Everything of Ada's, as the database and her pages have it. */
async function belongings(): Promise<unknown> {
  const { sql } = server.deps
  return {
    connection: await sql`select revoked_at, label from grants where id = ${hers.connection}`,
    token: await sql`select name from personal_tokens where id = ${hers.token}`,
    passkey: await sql`select name from passkeys where id = ${hers.passkey}`,
    user: await sql`select is_admin, disabled_at from users where email = 'ada@example.com'`,
    sessions: (await sql`select from sessions join users on users.id = user_id where email = 'ada@example.com'`).length,
    works: (await rpc(server, hers.access, 'tools/list')).status,
  }
}

/** Every form: what to send for Ada's things, and the page that has the form. */
const forms = (): Record<string, [fields: Record<string, string>, page: string]> => ({
  '/account/disconnect': [{ id: hers.connection }, '/account'],
  '/account/disconnect-app': [{ client_id: 'c_unknown' }, '/account'],
  '/account/disconnect-all': [{}, '/account'],
  '/account/rename': [{ id: hers.connection, name: 'mine' }, '/account'],
  '/account/passkeys/options': [{}, '/account/passkeys'],
  '/account/passkeys/add': [{ credential: '{}', name: 'x' }, '/account/passkeys'],
  '/account/passkeys/rename': [{ id: hers.passkey, name: 'mine' }, '/account/passkeys'],
  '/account/passkeys/remove': [{ id: hers.passkey }, '/account/passkeys'],
  '/account/sessions/end': [{ id: hers.session }, '/account/sessions'],
  '/account/tokens/add': [{ name: '', days: '1' }, '/account/tokens'],
  '/account/tokens/revoke': [{ id: hers.token }, '/account/tokens'],
  '/admin/users/add': [{ email: 'ada@example.com', how: 'link' }, '/account'],
  '/admin/users/change': [{ email: 'ada@example.com', change: 'disable' }, '/account'],
  '/admin/users/end-session': [{ user: hers.user, id: hers.session }, '/account'],
  '/admin/users/end-sessions': [{ user: hers.user }, '/account'],
  '/admin/users/revoke-token': [{ user: hers.user, id: hers.token }, '/account'],
  '/admin/users/remove-passkey': [{ user: hers.user, id: hers.passkey }, '/account'],
  '/admin/clients/add': [{ name: 'x', kind: 'device' }, '/account'],
  '/admin/clients/rotate': [{ id: 'x', source: 'operator' }, '/account'],
  '/admin/clients/remove': [{ id: 'x', source: 'operator' }, '/account'],
  '/admin/connections/end': [{ id: hers.connection }, '/account'],
  '/admin/connections/rename': [{ id: hers.connection, name: 'mine' }, '/account'],
  '/admin/connections/end-all': [{ q: 'ada@example.com' }, '/account'],
  '/account/data/delete': [{ email: 'ada@example.com' }, '/account/data'],
  '/admin/settings/rotate-key': [{ revoke: 'yes' }, '/account'],
  '/admin/upstreams/check': [{ name: 'x' }, '/account'],
  '/admin/upstreams/restart': [{ name: 'x' }, '/account'],
  '/admin/upstreams/trust': [{ name: 'x', seen: 'a'.repeat(64) }, '/account'],
  // Last: it ends the session that sends it.
  '/account/signout-everywhere': [{}, '/account'],
})

const routes = (method: string) =>
  createApp(server.deps)
    .routes.filter(route => route.method === method && /^\/(account|admin)(\/|$)/.test(route.path))
    .map(({ path }) => path)

test('the table has every form of these pages', () => {
  expect(Object.keys(forms()).toSorted()).toEqual(routes('POST').toSorted())
})

test('nobody, and a machine with its token, are sent to the sign-in page, and change nothing', async () => {
  const before = await belongings()
  const credentials: Record<string, string>[] = [
    {},
    { Authorization: `Bearer ${machine}` },
    { Authorization: `Bearer ${hers.access}` },
  ]
  for (const headers of credentials) {
    for (const path of routes('GET')) {
      const answer = await server.get(path, { ...HTML, ...headers })
      expect([path, answer.status, answer.headers.get('location')]).toEqual([
        path,
        303,
        expect.stringMatching(/^\/auth\/signin\?return_to=/),
      ])
    }
    for (const [path, [fields]] of Object.entries(forms()))
      expect([path, (await server.post(path, fields, { ...HTML, ...headers })).status]).toEqual([path, 303])
  }
  expect(await belongings()).toEqual(before)
})

test('somebody else sees none of it and changes none of it, with forms of their own', async () => {
  const before = await belongings()
  for (const path of routes('GET')) {
    const html = await see(eve, path)
    for (const text of ['ada@example.com', hers.connection, hers.token, hers.session, hers.passkey])
      expect([path, text, html.includes(text)]).toEqual([path, text, false])
  }
  for (const [path, [fields, page]] of Object.entries(forms())) {
    const answer = await send(eve, path, fields, page)
    if (path.startsWith('/admin')) expect([path, answer.status]).toEqual([path, 404])
  }
  expect(await belongings()).toEqual(before)
  expect((await server.get('/account', { Cookie: ada, ...HTML })).status).toBe(200)
})

test('but its owner does: the same forms work for Ada', async () => {
  for (const path of ['/account/passkeys/rename', '/account/tokens/revoke', '/account/disconnect']) {
    const [fields, page] = forms()[path]!
    expect((await send(ada, path, fields, page)).status).toBe(303)
  }
  expect(await see(ada, '/account/passkeys')).toContain('mine')
  const exported = (await (await server.get('/account/export', { Cookie: ada })).json()) as Record<string, unknown[]>
  expect([
    exported.connections,
    exported.personal_access_tokens,
    exported.passkeys!.length,
    exported.browser_sessions!.length,
  ]).toEqual([[], [], 1, 1])
  const other = await signIn(server, 'ada@example.com')
  const id = /name="id" value="([^"]+)"/.exec(await see(other, '/account/sessions'))![1]!
  await send(other, '/account/sessions/end', { id }, '/account/sessions')
  expect((await server.get('/account', { Cookie: ada, ...HTML })).status).toBe(303)
})
