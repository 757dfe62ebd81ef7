/** Connected apps on the account page: when and from where each was last used, its name, and ending one, an app's, or all. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { listPersonalTokens } from '../../src/oauth/personal-tokens.ts'
import { storeUses } from '../../src/oauth/uses.ts'
import { sweep } from '../../src/sweeper.ts'
import { runCommand } from '../support/command.ts'
import { csrfOf, deviceTokens, registerClient, rpc, signIn } from '../support/flows.ts'
import { onPostgres, startReplica, startServer, type TestServer } from '../support/server.ts'
import { countStatements } from '../support/statements.ts'

setDefaultTimeout(300_000)

let server: TestServer
beforeAll(async () => {
  server = await startServer({ TRUSTED_PROXIES: '127.0.0.1' })
})
afterAll(() => server.close())

const see = async (cookie: string, language = 'en') =>
  (await server.get('/account', { Cookie: cookie, Accept: 'text/html', 'Accept-Language': language })).text()

async function press(cookie: string, action: string, fields: Record<string, string> = {}): Promise<Response> {
  // All forms of connections have one token.
  const csrf = csrfOf(await see(cookie), '/account/disconnect-all')
  return server.post(action, { ...fields, csrf }, { Cookie: cookie, Accept: 'text/html' })
}

/** What the next page says, once. */
async function noticeAfter(cookie: string, answer: Response): Promise<string> {
  const notice = answer.headers.getSetCookie().find(value => value.includes('notice'))!
  const html = await see(`${cookie}; ${notice.split(';')[0]}`)
  return /role="status">.*?<span>(.*?)<\/span>/s.exec(html)![1]!
}

const idsOf = (html: string) => [...new Set([...html.matchAll(/name="id" value="([^"]+)"/g)].map(([, id]) => id!))]
const callFrom = (token: string, ip: string, to = server) =>
  to.postJson(
    '/mcp',
    { jsonrpc: '2.0', id: 1, method: 'tools/list' },
    { Authorization: `Bearer ${token}`, Accept: 'application/json, text/event-stream', 'X-Forwarded-For': ip },
  )

test('the last call of a connection and its network are stored by each replica, the latest wins, and a restart keeps them', async () => {
  const ada = await signIn(server, 'ada@example.com')
  const { access_token } = await deviceTokens(server, await registerClient(server), ada)
  expect(await see(ada)).toMatch(/Last used<\/dt><dd><span>not yet<\/span><\/dd>/)
  const replica = await startReplica(server)
  expect((await callFrom(access_token, '198.51.100.1', replica)).status).toBe(200)
  server.clock.advance(90)
  expect((await callFrom(access_token, '198.51.100.2')).status).toBe(200)
  const at = server.deps.now().toISOString().slice(0, 18)
  await sweep(server.deps)
  await replica.close() // stores the earlier call
  const html = await see(ada)
  expect(html).toContain(`<time datetime="${at}`)
  expect(html).toMatch(/<\/time>, from <span>198\.51\.100\.2<\/span>/)
  expect(await see(ada, 'de')).toMatch(/<\/time>, von <span>198\.51\.100\.2<\/span>/)
  // A late store of an earlier call is not the last one.
  const { stdout } = await runCommand(['connection', 'list', '--json'], server.env)
  expect(JSON.parse(stdout)).toMatchObject([{ network: '198.51.100.2', called_at: expect.stringMatching(at) }])
})

test.skipIf(!onPostgres)(
  'storing last uses does not wait for a row that somebody else has locked, and stores it the next time',
  async () => {
    const { sql, db, now, memory } = server.deps
    const cookie = await signIn(server, 'mary@example.com')
    await deviceTokens(server, await registerClient(server), cookie)
    await runCommand(['token', 'add', 'script', '--user', 'mary@example.com'], server.env)
    const [ids] = await sql<{ grant: string; token: string }[]>`
    select grants.id as grant, personal_tokens.id as token
    from grants
    join users on users.id = grants.user_id
    join personal_tokens on personal_tokens.user_id = users.id
    where users.email = 'mary@example.com'`
    const used = () =>
      Promise.all([
        sql`select from grants where id = ${ids!.grant} and called_at is not null`,
        sql`select from personal_tokens where id = ${ids!.token} and used_at is not null`,
      ]).then(found => found.map(rows => rows.length))
    await storeUses(server.deps, 100)
    const note = (id: string) => memory.uses.set(id, { at: now().getTime(), ip: '198.51.100.1' })
    note(ids!.grant)
    note(ids!.token)
    await db.begin(async locked => {
      await locked`select from grants where id = ${ids!.grant} for update`
      await locked`select from personal_tokens where id = ${ids!.token} for update`
      note(crypto.randomUUID()) // of a connection that is gone
      expect([await storeUses(server.deps, 2), await storeUses(server.deps, 2), await used()]).toEqual([0, 1, [0, 0]])
    })
    expect([await storeUses(server.deps, 100), await used(), memory.uses.size]).toEqual([2, [1, 1], 0])
  },
)

test('a name is plain text of at most 60 characters, shown on every list of connections, and removable', async () => {
  const grace = await signIn(server, 'grace@example.com')
  await deviceTokens(server, await registerClient(server, { client_name: 'Pocket assistant' }), grace)
  const [id] = idsOf(await see(grace))
  const shown = (name: string) => `The connection of Pocket assistant is now called “${name}”.`
  const renamed = await press(grace, '/account/rename', { id: id!, name: ' lap\u202etop\u200b ' })
  expect([renamed.status, await noticeAfter(grace, renamed)]).toEqual([303, shown('laptop')])
  server.clock.advance(61)
  await expect(noticeAfter(grace, renamed)).rejects.toThrow() // no longer said
  expect(await see(grace)).toContain('<h3>laptop</h3>')
  const run = (...args: string[]) => runCommand(['connection', ...args], server.env)
  expect((await run('list', '--user', 'grace@example.com')).stdout.trimEnd().split('\t').at(-1)).toBe('laptop')
  const long = 'x'.repeat(70)
  expect((await run('rename', id!, long)).stdout).toBe(`${id} is now called ${long.slice(0, 60)}.\n`)
  expect(await see(grace)).toContain(`<h3>${long.slice(0, 60)}</h3>`)
  expect((await run('rename', id!, '')).stdout).toBe(`${id} has no name any more.\n`)
  expect(await see(grace)).not.toContain('<h3>')
  const unknown = crypto.randomUUID()
  expect(await run('rename', unknown, 'x')).toEqual({
    code: 1,
    stdout: '',
    stderr: `No longer connected, or never was: ${unknown}\n`,
  })
})

test('one app’s connections end together and no other’s; all end without ending tokens and browsers', async () => {
  const joan = await signIn(server, 'joan@example.com')
  const names = ['One', 'One', 'One', 'Two', 'Three']
  const clients = new Map<string, string>()
  for (const name of new Set(names)) clients.set(name, await registerClient(server, { client_name: name }))
  const tokens: string[] = []
  for (const name of names) tokens.push((await deviceTokens(server, clients.get(name)!, joan)).access_token)
  const made = await runCommand(['token', 'add', 'script', '--user', 'joan@example.com'], server.env)
  const states = async () =>
    (await Promise.all(tokens.map(token => rpc(server, token, 'tools/list')))).map(({ status }) => status)
  expect(await see(joan)).toContain('Disconnect all 3…')
  const [first] = await server.deps.sql<{ id: string }[]>`
    select id from grants where client_id = ${clients.get('One')!} limit 1`
  const one = await press(joan, '/account/disconnect', { id: first!.id })
  expect(await noticeAfter(joan, one)).toBe('One connection of One has ended.')
  expect(await see(joan)).toContain('Disconnect all 2…')

  const app = await press(joan, '/account/disconnect-app', { client_id: clients.get('One')! })
  expect([app.status, await noticeAfter(joan, app), await states()]).toEqual([
    303,
    'One is disconnected.',
    [401, 401, 401, 200, 200],
  ])
  const again = await press(joan, '/account/disconnect-app', { client_id: clients.get('One')! })
  expect(await noticeAfter(joan, again)).toBe('This connection had already ended.')
  const all = await press(joan, '/account/disconnect-all')
  expect([await noticeAfter(joan, all), await states()]).toEqual(['All apps are disconnected.', Array(5).fill(401)])
  expect(await see(joan)).toContain('No app is connected as you.')
  expect((await rpc(server, made.stdout.trim(), 'tools/list')).status).toBe(200)
  const [user] = await server.deps.sql<{ id: string }[]>`select id from users where email = 'joan@example.com'`
  expect(await listPersonalTokens(server.deps, user!.id)).toHaveLength(1)
})

test('a page shows the hundred connections that were used last, and leads to the others; it stays where it is', async () => {
  const hedy = await signIn(server, 'hedy@example.com')
  const clientId = await registerClient(server)
  const now = server.deps.now()
  await server.deps.sql`
    insert into grants (id, client_id, user_id, scope, resource, created_at, used_at, expires_at, label)
    select gen_random_uuid(), ${clientId}, id, array['mcp:tools:read'], 'https://mcp.example/mcp', ${now},
      ${now}::timestamptz - n * interval '1 minute', ${now}::timestamptz + interval '1 day', 'number ' || n || '.'
    from users cross join generate_series(1, 5000) as n
    where email = 'hedy@example.com'`
  // The administrator's list and the tool page, too.
  const root = await signIn(server, 'root@example.com', { admin: true })
  const listed: string[] = []
  let pages = 0
  for (let path: string | undefined = '/admin/connections?q=HEDY%40example.com'; path && pages < 3; pages++) {
    const html: string = await (await server.get(path, { Cookie: root, Accept: 'text/html' })).text()
    listed.push(...idsOf(html))
    path = /href="([^"]+)" rel="next"/.exec(html)?.[1]?.replaceAll('&amp;', '&')
  }
  expect([listed.length, new Set(listed).size]).toEqual([3 * 50, 3 * 50])
  const { access_token } = await deviceTokens(server, clientId, hedy)
  const call = async (args: object) => {
    const answer = await rpc(server, access_token, 'tools/call', { name: 'list_connections', arguments: args })
    return ((await answer.json()) as { result: { structuredContent: { connections: object[]; next_cursor?: string } } })
      .result.structuredContent
  }
  const [tools, rest] = [await call({}), await call({ cursor: '5000' })]
  expect([tools.connections.length, tools.next_cursor]).toEqual([100, '100'])
  expect([rest.connections.length, rest.next_cursor]).toEqual([1, undefined])
  await server.deps.sql`delete from grants where label is null`
  const first = await see(hedy)
  expect(idsOf(first).length).toBe(100)
  for (const text of ['number 1.', 'number 100.', 'Disconnect all 5,000', 'href="/account?from=100"'])
    expect(first).toContain(text)
  const pageAt = (from: number) => server.get(`/account?from=${from}`, { Cookie: hedy, Accept: 'text/html' })
  const last = await (await pageAt(4900)).text()
  expect(idsOf(last).length).toBe(100)
  expect(last).toContain('number 5000.')
  expect(last).not.toContain('from=5000')
  // Ends one on the last page: by the plain form, and by htmx.
  const [one, two] = idsOf(last)
  const plain = await press(hedy, '/account/disconnect?from=4900', { id: one! })
  expect(plain.headers.get('location')).toBe('/account?from=4900')
  const csrf = csrfOf(last, '/account/disconnect-all')
  const headers = { Cookie: hedy, Accept: 'text/html', 'HX-Request': 'true' }
  const fragment = await (await server.post('/account/disconnect?from=4900', { id: two!, csrf }, headers)).text()
  expect(idsOf(fragment).length).toBe(98)
  expect(fragment).toContain('action="/account/disconnect?from=4900"')
  // Beyond the end, and with nonsense, the first page.
  expect(await (await pageAt(9000)).text()).toContain('number 1.')
  expect((await server.get('/account?from=-1', { Cookie: hedy, Accept: 'text/html' })).status).toBe(200)
  // All end in one transaction, however many apps there are.
  const statements = countStatements(server.deps)
  const ended = await server.post('/account/disconnect-all', { csrf }, { Cookie: hedy, Accept: 'text/html' })
  expect([ended.status, await see(hedy)]).toEqual([303, expect.stringContaining('No app is connected as you.')])
  expect(statements.take().filter(Array.isArray)).toEqual([['with', 'delete', 'update', 'with', 'with']])
})
