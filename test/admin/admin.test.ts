/** The administrator's pages: who sees them, what their forms do, and what the audit log says of it. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { findUserByEmail } from '../../sql/users.ts'
import { addPersonalToken } from '../../src/oauth/personal-tokens.ts'
import { newestEvents } from '../support/audit.ts'
import { runCommand } from '../support/command.ts'
import { csrfOf, deviceTokens, machineToken, registerClient, rpc, sendSignInForm, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/until.ts'

let server: TestServer
let root: string
let client: string
/** The id of the administrator, `root`. */
const ROOT = crypto.randomUUID()
const HTML = { Accept: 'text/html' }

beforeAll(async () => {
  server = await startServer()
  await server.deps.sql`
    insert into users (id, email, created_at) values (${ROOT}, 'root@example.com', now())`
  root = await signIn(server, 'root@example.com', { admin: true })
  client = await registerClient(server)
})
afterAll(() => server.close())

const see = async (path: string, cookie = root) => {
  const answer = await server.get(path, { Cookie: cookie, ...HTML })
  return { status: answer.status, html: await answer.text() }
}
/** Sends a form of a page as its button does. */
async function press(page: string, action: string, fields: Record<string, string>, cookie = root): Promise<Response> {
  const csrf = csrfOf((await see(page, cookie)).html, action)
  return server.post(action, { ...fields, csrf }, { Cookie: cookie, ...HTML })
}
/** What the page says after a form has sent the browser there. */
async function noticeAfter(answer: Response): Promise<string | undefined> {
  const cookie = answer.headers
    .getSetCookie()
    .find(one => one.includes('notice='))!
    .split(';')[0]!
  const html = await (await server.get(answer.headers.get('location')!, { Cookie: `${root}; ${cookie}` })).text()
  return /role="status"[^>]*>(?:<svg.*?<\/svg>)?(?:<span>)?([^<]+)/s.exec(html)?.[1]
}
const lastEvent = async () => {
  await server.deps.audit.flush()
  const [event] = await newestEvents(server, 1)
  return event!
}

describe('who may see the pages', () => {
  test.each([
    '/admin',
    '/admin/users',
    '/admin/audit',
    '/admin/audit/export',
    '/admin/settings',
    '/admin/clients',
    '/admin/connections',
    '/admin/upstreams',
    '/admin/traces',
    `/admin/users?id=${ROOT}`,
    `/admin/users/export?id=${ROOT}`,
  ])('%s is for administrators: others get 404, as for an unknown page; nobody is asked to sign in', async path => {
    const ada = await signIn(server)
    expect((await see(path)).status).toBe(200)
    const [other, unknown] = [await see(path, ada), await see('/nothing', ada)]
    const masked = (html: string) => html.replace(/name="csrf" value="[^"]+"/g, '')
    expect(masked(other.html)).toBe(masked(unknown.html))
    expect(other.status).toBe(404)
    const nobody = await server.get(path, HTML)
    expect([nobody.status, nobody.headers.get('location')]).toEqual([
      303,
      `/auth/signin?return_to=${encodeURIComponent(path)}`,
    ])
    const machine = await machineToken(server, ['admin', 'mcp'])
    expect((await server.get(path, { ...HTML, Authorization: `Bearer ${machine}` })).status).toBe(303)
  })

  test.each([
    ['/admin/users/add', '/admin/users'],
    ['/admin/clients/add', '/admin/clients'],
    ['/admin/clients/rotate', '/admin/clients'],
    ['/admin/upstreams/check', '/admin/upstreams'],
    ['/account/tokens/add', '/account/tokens'],
    ['/account/data/delete', '/account/data'],
  ])('%s, opened again from the address bar, leads back to %s', async (path, page) => {
    const answer = await server.get(path, { Cookie: root, ...HTML })
    expect([answer.status, answer.headers.get('location')]).toEqual([303, page])
  })

  test('a demoted administrator loses them at once', async () => {
    const deputy = await signIn(server, 'deputy@example.com', { admin: true })
    expect((await see('/admin/users', deputy)).status).toBe(200)
    await press('/admin/users', '/admin/users/change', { email: 'deputy@example.com', change: 'demote' })
    expect((await see('/admin/users', deputy)).status).toBe(404)
    const answer = await server.post(
      '/admin/users/add',
      { email: 'x@example.com', how: 'link' },
      { Cookie: deputy, ...HTML },
    )
    expect(answer.status).toBe(404)
  })
})

describe('users', () => {
  test('an invitation, a promotion, a demotion, and disabling and enabling do what the commands do', async () => {
    const email = 'grace@example.com'
    const invited = await press('/admin/users', '/admin/users/add', { email, how: 'invite' })
    expect(await noticeAfter(invited)).toBe(`${email} can sign in with a provider that has verified this address.`)
    expect(await lastEvent()).toMatchObject({ event: 'user.invited', email, detail: { administrator: ROOT } })

    const grace = await signIn(server, email)
    const tokens = await deviceTokens(server, client, grace)
    for (const [change, event] of [
      ['promote', 'user.promoted'],
      ['demote', 'user.demoted'],
    ] as const) {
      expect((await press('/admin/users', '/admin/users/change', { email, change })).status).toBe(303)
      expect(await lastEvent()).toMatchObject({ event, email, detail: { administrator: ROOT } })
    }
    await press('/admin/users', '/admin/users/change', { email, change: 'disable' })
    expect((await rpc(server, tokens.access_token, 'tools/list')).status).toBe(401)
    expect(await lastEvent()).toMatchObject({
      event: 'grant.revoked',
      email,
      detail: { by: 'operator', administrator: ROOT },
    })
    expect((await server.get('/account', { Cookie: grace })).status).toBe(303)
    const refused = await press('/admin/users', '/admin/users/add', { email, how: 'link' })
    expect([refused.status, (await refused.text()).includes(`${email} is disabled; enable them first.`)]).toEqual([
      400,
      true,
    ])
    await press('/admin/users', '/admin/users/change', { email, change: 'enable' })
    expect((await see('/admin/users?prefix=GRACE')).html).toContain(`<strong>${email}</strong>`)
    const removed = await press('/admin/users', '/admin/users/change', { email, change: 'remove' })
    expect(await noticeAfter(removed)).toBe(
      `${email} is removed, with their connections, access tokens and linked accounts.`,
    )
    expect(await lastEvent()).toMatchObject({
      event: 'user.removed',
      detail: { by: 'operator', email, administrator: ROOT },
    })
    expect((await see('/admin/users?prefix=GRACE')).html).toContain('No address begins with that.')
  })

  test('a one-time link is shown once, and signs in', async () => {
    const answer = await press('/admin/users', '/admin/users/add', { email: 'joan@example.com', how: 'link' })
    const href = /<code[^>]*>([^<]+signin\/link[^<]+)<\/code>/.exec(await answer.text())![1]!
    const signedIn = await sendSignInForm(server, '/auth/signin/link', {
      token: new URL(href).searchParams.get('token')!,
    })
    expect(signedIn.status).toBe(303)
  })

  test('nobody changes their own rights here, and a typo shows the form again', async () => {
    for (const change of ['demote', 'disable', 'remove']) {
      const answer = await press('/admin/users', '/admin/users/change', { email: 'ROOT@example.com', change })
      expect(answer.status).toBe(409)
    }
    const typo = await press('/admin/users', '/admin/users/add', { email: 'no address', how: 'invite' })
    const html = await typo.text()
    expect([typo.status, html.includes('value="no address"'), html.includes('This is not an e-mail address.')]).toEqual(
      [400, true, true],
    )
  })

  test('are listed by address, a page at a time', async () => {
    await server.deps.sql`
      insert into users (id, email, created_at)
      select gen_random_uuid(), 'many' || lpad(n::text, 3, '0') || '@example.com', now() from generate_series(1, 120) as n`
    const listed: string[] = []
    for (let path: string | undefined = '/admin/users?prefix=many'; path; ) {
      const html: string = (await see(path)).html
      listed.push(...[...html.matchAll(/<strong>(many\d+)@/g)].map(([, name]) => name!))
      path = /href="([^"]+)" rel="next"/.exec(html)?.[1]?.replaceAll('&amp;', '&')
    }
    expect(listed).toEqual(Array.from({ length: 120 }, (_, i) => `many${String(i + 1).padStart(3, '0')}`))
  })
})

test('a person’s browsers, passkeys and tokens are seen and ended; the audit log says by which administrator', async () => {
  const email = 'mary@example.com'
  const cookies = [await signIn(server, email), await signIn(server, email), await signIn(server, email)]
  const { id } = (await findUserByEmail(server.deps.sql, email))!
  const token = await addPersonalToken(server.deps, {
    user: { id, isAdmin: false },
    ...{ name: 'Script <1>', scope: ['mcp:tools:read'], days: 1, by: 'user' },
  })
  await server.deps.sql`
    insert into passkeys (id, user_id, public_key, counter, name, backed_up, created_at)
    select name, ${id}, ${Buffer.from('key')}, 0, name, false, now() from unnest(array['laptop', 'phone']) as name`
  const path = `/admin/users?id=${id}`
  const { html } = await see(path)
  expect([...html.matchAll(/<li class="row"><div><strong>([^<]+)/g)].map(([, name]) => name)).toEqual([
    ...Array(3).fill('Another browser'),
    ...['laptop', 'phone', 'Script &lt;1&gt;'],
  ])
  expect((await see('/admin/users?prefix=mary')).html).toContain(`href="${path}"`)
  const isSignedIn = async (cookie: string) => (await server.get('/account', { Cookie: cookie })).status === 200
  const act = async (action: string, thing: string) => {
    const answer = await press(path, `/admin/users/${action}`, { user: id, id: thing })
    expect(answer.headers.get('location')).toBe(path)
    const notice = await noticeAfter(answer)
    const { event, detail } = await lastEvent()
    return [notice, event, detail]
  }
  const by = { administrator: ROOT }

  const browser = /end-session".*?name="id" value="([^"]+)"/s.exec(html)![1]!
  const elsewhere = { elsewhere: true, ...by }
  expect(await act('end-session', browser)).toEqual(['The browser is signed out.', 'user.signed_out', elsewhere])
  expect((await Promise.all(cookies.map(isSignedIn))).filter(Boolean)).toHaveLength(2)
  expect((await act('end-session', browser))[0]).toBe('This browser was signed out already.')
  // Of somebody else, nothing ends.
  const [strange] = (await see(`/admin/users?id=${ROOT}`)).html.match(/(?<=end-session".*?name="id" value=")[^"]+/s)!
  expect((await act('end-session', strange!))[0]).toBe('This browser was signed out already.')
  expect(await act('end-sessions', '')).toEqual([
    'Signed out of 2 browsers.',
    'user.signed_out',
    { ...elsewhere, browsers: 2 },
  ])
  expect((await Promise.all(cookies.map(isSignedIn))).filter(Boolean)).toEqual([])

  expect((await rpc(server, token.token, 'tools/list')).status).toBe(200)
  expect(await act('revoke-token', token.id)).toEqual([
    'The token no longer works.',
    'personal_token.revoked',
    { name: 'Script <1>', by: 'operator', ...by },
  ])
  expect((await rpc(server, token.token, 'tools/list')).status).toBe(401)

  expect(await act('remove-passkey', 'laptop')).toEqual([
    'The passkey laptop is removed.',
    'passkey.removed',
    { name: 'laptop', ...by },
  ])
  expect((await act('remove-passkey', 'phone'))[0]).toStartWith('Nothing was removed: it is gone, or it is the only')

  const file = await server.get(`/admin/users/export?id=${id}`, { Cookie: root, ...HTML })
  expect(file.headers.get('content-disposition')).toBe('attachment; filename="user.json"')
  expect(await file.json()).toMatchObject({ user: { id, email, is_admin: false }, passkeys: [{ name: 'phone' }] })
  expect(await lastEvent()).toMatchObject({ event: 'user.exported', email, detail: { by: 'operator', ...by } })
  for (const unknown of [crypto.randomUUID(), 'x']) expect((await see(`/admin/users?id=${unknown}`)).status).toBe(404)
})

describe('clients', () => {
  test('of every kind can be added; a secret is shown once and works', async () => {
    const scope = { 'scope:mcp:tools:read': 'yes' }
    const fields = { name: 'Nightly', kind: 'machine', redirect_uris: '', ...scope }
    const html = await (await press('/admin/clients', '/admin/clients/add', fields)).text()
    const [id, secret] = [...html.matchAll(/<code[^>]*>([^<]+)<\/code>/g)].map(([, text]) => text!)
    const token = (form: Record<string, string>) =>
      server.post('/api/oauth/token', { grant_type: 'client_credentials', client_id: id!, ...form })
    expect((await token({ client_secret: secret! })).status).toBe(200)
    expect(await lastEvent()).toMatchObject({ event: 'token.issued' })
    expect((await see('/admin/clients')).html).not.toContain(secret!)

    const rotated = await (
      await press('/admin/clients', '/admin/clients/rotate', { id: id!, source: 'operator' })
    ).text()
    const next = [...rotated.matchAll(/<code[^>]*>([^<]+)<\/code>/g)][1]![1]!
    expect([(await token({ client_secret: secret! })).status, (await token({ client_secret: next })).status]).toEqual([
      401, 200,
    ])

    expect(
      await noticeAfter(await press('/admin/clients', '/admin/clients/remove', { id: id!, source: 'operator' })),
    ).toBe(`The client ${id} is removed; its tokens no longer work.`)
    expect((await token({ client_secret: next })).status).toBe(401)
    const disguised = { ...fields, name: 'Payroll\u202e \u200bgnp.exe' }
    expect(await (await press('/admin/clients', '/admin/clients/add', disguised)).text()).toContain(
      'Payroll gnp.exe is added',
    )
    expect((await see('/admin/clients')).html).toContain('Payroll gnp.exe')
    for (const kind of ['device', 'app', 'web']) {
      const answer = await press('/admin/clients', '/admin/clients/add', {
        ...fields,
        name: `A ${kind}`,
        kind,
        redirect_uris: 'https://app.example.com/callback',
      })
      expect([answer.status, (await answer.text()).includes('Client secret')]).toEqual([200, kind === 'web'])
    }
  })

  test.each([
    [
      'without a redirect URI',
      { kind: 'app', redirect_uris: '' },
      'A client that opens a browser needs a redirect URI.',
    ],
    ['with a wrong one', { kind: 'app', redirect_uris: 'ftp://x' }, 'The redirect URI ftp://x:'],
    ['without a scope', { kind: 'device', 'scope:mcp:tools:read': '' }, 'Choose at least one thing'],
    ['without a name', { kind: 'device', name: ' \u202e' }, 'The name must have 1 to 100 characters.'],
  ])('%s the form is shown again', async (_, fields, problem) => {
    const form = { name: 'App', redirect_uris: '', 'scope:mcp:tools:read': 'yes', ...fields }
    const answer = await press('/admin/clients', '/admin/clients/add', form)
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining(problem)])
  })
})

describe('connections', () => {
  const statusOf = async ({ access_token }: { access_token: string }) =>
    (await rpc(server, access_token, 'tools/list')).status

  test('are found by person and by client, and end one at a time or together', async () => {
    const [ada, other] = [await signIn(server), await registerClient(server, { client_name: 'Other client' })]
    const [first, second, third] = [
      await deviceTokens(server, client, ada),
      await deviceTokens(server, other, ada),
      await deviceTokens(server, other, await signIn(server, 'hedy@example.com')),
    ]
    const found = await see('/admin/connections?q=ada%40example.com')
    expect([found.html.includes('Other client'), found.html.includes('hedy@example.com')]).toEqual([true, false])
    const ofClient = (await see(`/admin/connections?q=${other}`)).html
    expect([ofClient.includes('Test client'), ofClient.includes('hedy@example.com')]).toEqual([false, true])

    const id = /Test client.*?name="id" value="([^"]+)"/s.exec(found.html)![1]!
    const rename = (name: string) =>
      press('/admin/connections', '/admin/connections/rename', { id, q: 'ada@example.com', name })
    expect(await noticeAfter(await rename(' lap\u202etop '))).toBe('The connection is now called laptop.')
    expect(await lastEvent()).toMatchObject({
      ...{ event: 'grant.renamed', email: 'ada@example.com', client_id: client, grant_id: id },
      detail: { name: 'laptop', by: 'operator', administrator: ROOT },
    })
    expect((await see('/admin/connections?q=ada%40example.com')).html).toContain('“laptop”')
    expect(await noticeAfter(await rename(''))).toBe('The connection has no name any more.')
    const answer = await press('/admin/connections', '/admin/connections/end', { id, q: 'ada@example.com' })
    expect(answer.headers.get('location')).toBe('/admin/connections?q=ada%40example.com')
    expect(await noticeAfter(answer)).toBe('The connection has ended. Its tokens no longer work.')
    expect([await statusOf(first), await statusOf(second)]).toEqual([401, 200])

    const all = await press(`/admin/connections?q=${other}`, '/admin/connections/end-all', { q: other })
    expect(await noticeAfter(all)).toBe('2 connections have ended.')
    expect([await statusOf(second), await statusOf(third)]).toEqual([401, 401])
  })

  test('end by command, too: all of a client, or all of a person', async () => {
    const mine = await registerClient(server, { client_name: 'Mine' })
    const ada = await signIn(server)
    const tokens = [await deviceTokens(server, mine, ada), await deviceTokens(server, mine, ada)]
    expect((await runCommand(['connection', 'end', '--client', mine], server.env)).stdout).toBe(
      'Ended 2 connections.\n',
    )
    for (const one of tokens) while ((await statusOf(one)) === 200) await Bun.sleep(10)
    await deviceTokens(server, mine, ada)
    expect((await runCommand(['connection', 'end', '--user', 'ADA@example.com'], server.env)).stdout).toBe(
      'Ended 1 connection.\n',
    )
    expect((await runCommand(['connection', 'end'], server.env)).code).toBe(1)
  })

  test('htmx replaces the row by what happened', async () => {
    await deviceTokens(server, client, await signIn(server))
    const { html } = await see('/admin/connections')
    const id = /name="id" value="([^"]+)"/.exec(html)![1]!
    const csrf = csrfOf(html, '/admin/connections/end')
    const answer = await server.post(
      '/admin/connections/end',
      { id, q: '', csrf },
      { Cookie: root, 'HX-Request': 'true', ...HTML },
    )
    expect([answer.status, await answer.text()]).toEqual([
      200,
      expect.stringMatching(/^<li .*The connection has ended/),
    ])
  })
})

describe('the overview', () => {
  test('counts people, connections, calls and failed calls of the last day', async () => {
    const figures = async () => {
      const { html } = await see('/admin')
      return [...html.matchAll(/<li class="card"><a[^>]*><b[^>]*>([\d,]+)<\/b>/g)].map(([, n]) =>
        Number(n!.replace(',', '')),
      )
    }
    const ada = await signIn(server)
    const { access_token } = await deviceTokens(server, client, ada)
    const before = await figures()
    await rpc(server, access_token, 'tools/call', { name: 'whoami', arguments: {} })
    await rpc(server, access_token, 'tools/call', { name: 'none', arguments: {} })
    const after = await figures()
    expect(after.map((value, i) => value - before[i]!)).toEqual([0, 0, 2, 1])
    server.clock.advance(25 * 3600)
    root = await signIn(server, 'root@example.com', { admin: true })
    expect((await figures()).slice(2)).toEqual([0, 0])
  })
})

test.each(['/admin/clients', '/admin/connections'])('%s begins anew for a place that no list has', async path => {
  const id = '00000000-0000-4000-8000-000000000000'
  const first = await see(path)
  for (const before of [`999999999999999 ${id}`, `253402300800000 ${id}`, `x ${id}`, "1 ' or true"]) {
    const { status, html } = await see(`${path}?before=${encodeURIComponent(before)}`)
    expect([before, status, html.length > 1000]).toEqual([before, first.status, true])
  }
})

describe('traces', () => {
  test('lead from an attempt to its steps, the cause and the fix, a page at a time, found by client', async () => {
    await server.deps.sql`
      insert into connection_steps (at, step, client_id, network, program, status, answer, known)
      select at + offset_ * interval '1 second', step, id, '203.0.113.0/24', 'editor/1', status, answer, false
      from
        (select 'c_trace' || n as id, now() - n * interval '1 hour' as at from generate_series(1, 60) as n) as client,
        (values
          (0, 'registration', 201, null), (1, 'authorization', 303, 'sent to the sign-in page'),
          (2, 'token', 400, 'The code is <b>unknown</b>')
        ) as step (offset_, step, status, answer)`
    const first = (await see('/admin/traces?client=editor')).html
    const next = /href="([^"]+)" rel="next"/.exec(first)![1]!.replaceAll('&amp;', '&')
    const second = (await see(next)).html
    const ids = [first, second].flatMap(html =>
      [...html.matchAll(/class="name"[^>]*>(c_trace\d+)</g)].map(([, id]) => id),
    )
    expect(ids).toEqual(Array.from({ length: 60 }, (_, i) => `c_trace${i + 1}`))
    expect(second).not.toContain('rel="next"')
    const one = (await see('/admin/traces?client=c_trace7')).html
    const { html } = await see(/class="name" href="([^"]+)"/.exec(one)![1]!.replaceAll('&amp;', '&'))
    expect(html).toContain('stopped at token')
    expect(html).toContain('<p>Its authorization code was refused: used twice, too late, or with another verifier')
    expect(html).toContain('+2.0 s</span><span> · 400 · The code is &lt;b&gt;unknown&lt;/b&gt;</span>')
    expect((await see('/admin/traces?attempt=1-x')).status).toBe(404)
  })
})

describe('the audit log', () => {
  test('is filtered by what stands in the address, and has an address for each page', async () => {
    const seen: string[] = []
    let pages = 0
    for (let path: string | undefined = '/admin/audit?event=user.signed_in'; path; pages++) {
      const { html } = await see(path)
      seen.push(...[...html.matchAll(/<strong>([\w.]+)<\/strong>/g)].map(([, name]) => name!))
      path = /href="([^"]+)" rel="next"/.exec(html)?.[1]?.replaceAll('&amp;', '&')
      if (pages === 0) for (let i = 0; i < 60; i++) await signIn(server)
      if (pages === 0) path = '/admin/audit?event=user.signed_in'
    }
    expect(pages).toBeGreaterThan(2)
    expect(new Set(seen)).toEqual(new Set(['user.signed_in']))
    // The last ones are times of JavaScript that PostgreSQL does not have.
    for (const wrong of ['event=none', 'since=yesterday', 'since=0000-01-01', 'until=9999-12-31T23:00-02:00'])
      expect((await see(`/admin/audit?${wrong}`)).status).toBe(400)
  })

  test('has a live view, which htmx asks for what it has not seen', async () => {
    const { html } = await see('/admin/audit?event=user.invited&live=yes')
    expect(html).toContain('<a href="/admin/audit?event=user.invited&live=yes">Reload')
    const poll = /hx-get="([^"]+)" hx-trigger="every 3s"/.exec(html)![1]!.replaceAll('&amp;', '&')
    const ask = async () => {
      const answer = await server.get(poll, { Cookie: root, 'HX-Request': 'true', ...HTML })
      return { status: answer.status, html: await answer.text() }
    }
    expect(await ask()).toEqual({ status: 204, html: '' })
    await press('/admin/users', '/admin/users/add', { email: 'news@example.com', how: 'invite' })
    const news = await ask()
    expect([news.status, news.html]).toEqual([
      200,
      expect.stringMatching(/^<div hx-get="[^"]+seen=.*news@example\.com/s),
    ])
    expect(news.html).not.toContain('<html')
    expect((await see('/admin/audit?until=2026-11-01&live=yes')).html).not.toContain('hx-get')
  })

  test('can be exported whole, as CSV and as JSON lines', async () => {
    const [row] = await server.deps.sql<
      { n: number }[]
    >`select count(*)::int as n from audit_events where event = 'user.signed_in'`
    const get = (format: string) =>
      server.get(`/admin/audit/export?event=user.signed_in&format=${format}`, { Cookie: root, ...HTML })
    const csv = (await (await get('csv')).text()).split('\r\n')
    expect([csv[0], csv.length]).toEqual(['at,event,email,client_id,grant_id,ip,detail', row!.n + 2])
    const answer = await get('jsonl')
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="audit.jsonl"')
    const lines = (await answer.text())
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as { event: string })
    expect([lines.length, lines[0]!.event]).toEqual([row!.n, 'user.signed_in'])
    await server.deps.audit.flush()
    const exported = await server.deps.sql`
      select detail from audit_events where event = 'audit.exported' and detail->>'event' = 'user.signed_in' order by id`
    const detail = { event: 'user.signed_in', administrator: expect.any(String) }
    expect(exported.map(one => one.detail)).toEqual(['csv', 'jsonl'].map(format => ({ format, ...detail })))
  })
})

test('the settings are shown with their sources, without secrets', async () => {
  const secret = server.env.AUTH_SECRET ?? server.env.DATABASE_URL
  const { html } = await see('/admin/settings')
  expect(html).toMatch(/<code>BASE_URL<\/code>.*?http:\/\/localhost/s)
  const sourceOf = (name: string) =>
    new RegExp(`<code>${name}</code>.*?<small[^>]*>([^<]*)</small>`, 's').exec(html)?.[1]
  expect([sourceOf('PORT'), sourceOf('ACCESS_TOKEN_TTL')]).toEqual(['environment', 'default'])
  if (secret) expect(html).not.toContain(secret)
})

test('the signing keys are shown and rotated, softly and after a leak', async () => {
  const { access_token } = await deviceTokens(server, client, await signIn(server))
  const keys = async () => {
    const { html } = await see('/admin/settings')
    return [...html.matchAll(/<code>([\w-]{43})<\/code>(.*?)<\/li>/gs)].map(([, kid, rest]) => [
      kid!,
      ['>signs<', 'signs from', 'replaced'].filter(word => rest!.includes(word)).join(),
    ])
  }
  const old = (await keys())[0]![0]!
  const rotate = (revoke: string) => press('/admin/settings', '/admin/settings/rotate-key', { revoke })
  expect(await noticeAfter(await rotate('no'))).toStartWith('A new key is published, and signs in 5 minutes.')
  const [[next, state], ...others] = (await keys()) as [[string, string], ...string[][]]
  expect([state, others]).toEqual(['signs from', [[old, '>signs<']]])
  expect(await lastEvent()).toMatchObject({ event: 'key.rotated', detail: { kid: next, administrator: ROOT } })
  expect((await rpc(server, access_token, 'tools/list')).status).toBe(200)

  expect(await noticeAfter(await rotate('yes'))).toStartWith('A new key signs now.')
  const after = await keys()
  expect(after).toEqual([[expect.any(String), '>signs<']])
  expect([old, next]).not.toContain(after[0]![0])
  expect(await lastEvent()).toMatchObject({ event: 'key.rotated', detail: { revoked: true, administrator: ROOT } })
  await until(async () => (await rpc(server, access_token, 'tools/list')).status === 401)
})

describe('every form', () => {
  const FORMS: [string, Record<string, string>][] = [
    ['/admin/users/add', { email: 'x@example.com', how: 'invite' }],
    ['/admin/users/change', { email: 'x@example.com', change: 'promote' }],
    ['/admin/users/end-session', { user: ROOT, id: 'a'.repeat(43) }],
    ['/admin/users/end-sessions', { user: ROOT }],
    ['/admin/users/revoke-token', { user: ROOT, id: ROOT }],
    ['/admin/users/remove-passkey', { user: ROOT, id: 'x' }],
    ['/admin/clients/add', { name: 'x', kind: 'device' }],
    ['/admin/clients/rotate', { id: 'x', source: 'operator' }],
    ['/admin/clients/remove', { id: 'x', source: 'operator' }],
    ['/admin/connections/end', { id: crypto.randomUUID() }],
    ['/admin/connections/rename', { id: crypto.randomUUID(), name: 'x' }],
    ['/admin/connections/end-all', { q: 'x' }],
    ['/admin/settings/rotate-key', { revoke: 'yes' }],
    ['/admin/upstreams/check', { name: 'x' }],
    ['/admin/upstreams/restart', { name: 'x' }],
    ['/admin/upstreams/trust', { name: 'x', seen: 'a'.repeat(64) }],
  ]
  const sectionOf = (action: string) => action.split('/').slice(0, 3).join('/')

  test.each(FORMS)('%s needs its own token, from our own page', async (action, fields) => {
    const html = (await see(sectionOf(action))).html
    const csrf = /action="\/admin\/[^"]+".*?name="csrf" value="([^"]+)"/s.exec(html)?.[1] ?? ''
    const stranger = await signIn(server, 'second@example.com', { admin: true })
    for (const [form, headers] of [
      [fields, { Cookie: root }],
      [{ ...fields, csrf }, { Cookie: stranger }],
      [
        { ...fields, csrf },
        { Cookie: root, 'Sec-Fetch-Site': 'cross-site' },
      ],
      [
        { ...fields, csrf },
        { Cookie: root, Origin: 'https://evil.example' },
      ],
    ] as const)
      expect((await server.post(action, form, { ...HTML, ...headers })).status).toBe(403)
  })

  test('that changes rights asks for a new sign-in after half an hour', async () => {
    const old = await signIn(server, 'old@example.com', { admin: true })
    const csrf = csrfOf((await see('/admin/users', old)).html, '/admin/users/add')
    server.clock.advance(31 * 60)
    expect((await see('/admin/users', old)).html).toContain('sign in again')
    const form = { email: 'late@example.com', how: 'invite', csrf }
    const answer = await server.post('/admin/users/add', form, { Cookie: old, ...HTML })
    const location = new URL(answer.headers.get('location')!, server.base)
    expect([answer.status, location.pathname, location.searchParams.get('again')]).toEqual([303, '/auth/signin', '1'])
    const back = location.searchParams.get('return_to')!
    expect(back).toStartWith('/admin/users?kept=')
    const anew = await signIn(server, 'old@example.com', { admin: true })
    expect((await see(back, anew)).html).toMatch(/<input class="field" id="email"[^>]* value="late@example.com"/)
    const other = await signIn(server, 'third@example.com', { admin: true })
    for (const html of [(await see(back, other)).html, (await see(`${back}x`, anew)).html])
      expect(html).not.toContain('late@example.com')
    // What an address cannot hold is lost, and the page says so; many alike redirect URIs are not.
    const client = {
      name: 'Wide',
      kind: 'web',
      csrf: csrfOf((await see('/admin/clients', old)).html, '/admin/clients/add'),
    }
    const sendClient = async (redirect_uris: string) => {
      const late = await server.post('/admin/clients/add', { ...client, redirect_uris }, { Cookie: old, ...HTML })
      return (await see(new URL(late.headers.get('location')!, server.base).searchParams.get('return_to')!, anew)).html
    }
    const alike = Array.from({ length: 40 }, (_, i) => `https://app.example/callback/${i}`).join(' ')
    expect(await sendClient(alike)).toContain('https://app.example/callback/39')
    const random = Array.from({ length: 40 }, () => `https://${crypto.randomUUID()}.example/`).join(' ')
    expect(await sendClient(random)).toContain('too long to keep')
    const asked = await see(answer.headers.get('location')!, old)
    expect(asked.html).toContain('Sign in again to continue.')
    expect(asked.html).toContain('user link you@example.com')
    expect(asked.html).not.toContain('href="/admin/users"')
    expect((await see('/admin/users?prefix=late', old)).html).not.toContain('<strong>late@')
    root = await signIn(server, 'root@example.com', { admin: true })
  })
})
