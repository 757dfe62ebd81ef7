import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { ExternalIdentity } from '../../src/signin/identity.ts'
import { admit, createSignInLink, inviteUser } from '../../src/signin/service.ts'
import { type FakeProvider, signInAtFake, startFakeProvider } from '../support/fake-openid-provider.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { count, expectRefusal, isSignedIn, TITLES } from '../support/signin.ts'
import { type Browser, openBrowser, type Page } from '../support/user-agent.ts'

let fake: FakeProvider
let server: TestServer

beforeAll(async () => {
  fake = await startFakeProvider(() => server.deps.now())
  server = await startServer({
    ...fake.env,
    ADMIN_EMAILS: 'root@kernel.org, Boss@Example.org',
    ALLOWED_EMAILS: 'ada@lovelace.uk',
    ALLOWED_DOMAINS: 'example.com',
  })
}, 30_000)
afterAll(async () => {
  await server.close()
  await fake.stop()
})

let people = 0

/** A person with verified claims from the provider, new unless `sub` is given, tries to sign in. */
async function enter(claims: Record<string, unknown>): Promise<{ browser: Browser; page: Page; sub: string }> {
  const sub = (claims.sub as string | undefined) ?? `person-${++people}`
  fake.misbehave({ claims: { name: undefined, ...claims, sub } })
  const browser = openBrowser()
  return { browser, page: await signInAtFake(browser, server), sub }
}

async function expectEntered(claims: Record<string, unknown>): Promise<string> {
  const { browser, page, sub } = await enter(claims)
  expect([page.url, page.status]).toEqual([`${server.base}/`, 200])
  expect(isSignedIn(browser, server)).toBe(true)
  return sub
}

async function expectKeptOut(claims: Record<string, unknown>, title: string): Promise<Page> {
  const users = await count(server, 'users')
  const sessions = await count(server, 'sessions')
  const { browser, page } = await enter(claims)
  expectRefusal(browser, server, page, 403, title)
  expect([await count(server, 'users'), await count(server, 'sessions')]).toEqual([users, sessions])
  return page
}

async function userOf(sub: string): Promise<{ id: string; email: string; is_admin: boolean }> {
  const [row] = await server.deps.sql<{ id: string; email: string; is_admin: boolean }[]>`
    select users.id, users.email, users.is_admin
    from identities
    join users on users.id = identities.user_id
    where subject = ${sub}`
  return row!
}

/** A provider's claims about somebody, without the redirects. */
const person = (more: Partial<ExternalIdentity>): ExternalIdentity => ({
  issuer: 'https://elsewhere.example',
  subject: `person-${++people}`,
  email: 'nobody@nowhere.example',
  emailVerified: true,
  name: '',
  ...more,
})

describe('who may sign in: by address, domain, invitation or link', () => {
  test.each([
    ['an address of ALLOWED_EMAILS', 'ada@lovelace.uk', false],
    ['the same in capitals', 'ADA@Lovelace.UK', false],
    ['an address of an allowed domain', 'somebody@example.com', false],
    ['the same in capitals', 'Somebody.Else@EXAMPLE.COM', false],
    ['an address of ADMIN_EMAILS, as an administrator', 'boss@example.org', true],
    ['an address of ADMIN_EMAILS in capitals', 'ROOT@KERNEL.ORG', true],
  ])('%s', async (_, email, admin) => {
    const sub = await expectEntered({ email, email_verified: true })
    expect((await userOf(sub)).is_admin).toBe(admin)
  })

  test.each([
    ['a stranger', 'eve@attacker.net'],
    ['a domain that begins with an allowed one', 'evil@example.com.attacker.net'],
    ['a domain that ends with an allowed one', 'evil@notexample.com'],
    ['a host in an allowed domain', 'evil@mail.example.com'],
    ['an allowed domain before the @', 'example.com@attacker.net'],
    ['an allowed address before the @', '"ada@lovelace.uk"@attacker.net'],
    ['an administrator’s name elsewhere', 'root@example.org'],
    // U+212A, the Kelvin sign, is k in lower case.
    ['an administrator’s address with a Kelvin sign', 'root@\u212aernel.org'],
    ['an address with a dotted capital I', 'somebody@example.com\u0130'],
    ['an address after a line break', 'eve@attacker.net\nx@example.com'],
    ['an allowed domain with a dot behind', 'eve@example.com.'],
  ])('but not %s', async (_, email) => {
    const users = await count(server, 'users')
    const { browser, page } = await enter({ email, email_verified: true })
    expect(page.status).toBe(403)
    expect(isSignedIn(browser, server)).toBe(false)
    expect(await count(server, 'users')).toBe(users)
  })

  test('a stranger reads what to do next, and the audit log has one row about it', async () => {
    server.clock.advance(601) // the same again within ten minutes is only counted
    await server.deps.audit.flush()
    const page = await expectKeptOut({ email: 'eve@attacker.net', email_verified: true }, TITLES.noAccess)
    expect(page.html).toContain('Ask the operator of this server to invite you.')
    await server.deps.audit.flush()
    const [last] = await server.deps.sql`select event, ip, detail from audit_events order by id desc limit 1`
    expect(last).toMatchObject({
      event: 'user.refused',
      ip: '127.0.0.1',
      detail: { issuer: fake.issuer, email: 'eve@attacker.net', verified: true },
    })
  })
})

describe('an unverified address (OpenID Connect Core 5.1: email_verified)', () => {
  test.each([
    ['false', false],
    ['"false"', 'false'],
    ['missing', undefined],
  ])('admits nobody: email_verified is %s', async (_, email_verified) => {
    await inviteUser(server.deps, 'invited-unverified@example.net')
    for (const email of [
      'ada@lovelace.uk',
      'x@example.com',
      'boss@example.org',
      'invited-unverified@example.net',
      'eve@attacker.net',
    ]) {
      const page = await expectKeptOut({ email, email_verified }, TITLES.unverified)
      expect(page.html).toContain('Verify your e-mail address with the sign-in provider')
    }
  })

  test('neither makes a known user an administrator nor becomes their address', async () => {
    const sub = await expectEntered({ email: 'trudy@example.com', email_verified: true })
    await expectEntered({ sub, email: 'boss@example.org', email_verified: false })
    expect(await userOf(sub)).toMatchObject({ email: 'trudy@example.com', is_admin: false })
    // So an operator who names the address does not mean its claimant.
    await expectEntered({ sub, email: 'chief@example.net', email_verified: false })
    const chief = await inviteUser(server.deps, 'chief@example.net', true)
    expect(chief.id).not.toBe((await userOf(sub)).id)
    expect((await userOf(sub)).is_admin).toBe(false)
  })
})

describe('identity is issuer and subject, never the address', () => {
  test('the same address from another issuer, or for another subject, is another user', async () => {
    const sub = await expectEntered({ email: 'twin@example.com', email_verified: true })
    const other = await expectEntered({ email: 'twin@example.com', email_verified: true })
    const elsewhere = await admit(server.deps, person({ email: 'twin@example.com', subject: sub }), null)
    const ids = new Set([(await userOf(other)).id, elsewhere.id])
    const [mine] = await server.deps.sql`
      select user_id from identities where issuer = ${fake.issuer} and subject = ${sub}`
    expect([ids.size, ids.has(mine!.user_id)]).toEqual([2, false])
  })

  test('a known user stays the same user with another address, even one that is not allowed', async () => {
    const sub = await expectEntered({ email: 'before@example.com', email_verified: true })
    const { id } = await userOf(sub)
    await expectEntered({ sub, email: 'after@elsewhere.net', email_verified: true })
    expect(await userOf(sub)).toEqual({ id, email: 'after@elsewhere.net', is_admin: false })
  })

  test('20 simultaneous first sign-ins of one person create one user', async () => {
    for (let round = 0; round < 5; round++) {
      const twin = person({ email: `crowd-${round}@example.com` })
      const users = await Promise.all(Array.from({ length: 20 }, () => admit(server.deps, twin, null)))
      expect(new Set(users.map(user => user.id)).size).toBe(1)
    }
  })
})

describe('invitations', () => {
  test('an invited address can sign in with any issuer that verified it, once, as the invited user', async () => {
    const invited = await inviteUser(server.deps, 'Guest@Example.net')
    const sub = await expectEntered({ email: 'guest@example.net', email_verified: true })
    expect((await userOf(sub)).id).toBe(invited.id)
    // A second identity cannot become them, though the address is right.
    await expectKeptOut({ email: 'guest@example.net', email_verified: true }, TITLES.noAccess)
    expect((await userOf(sub)).id).toBe(invited.id)
  })

  test('of 20 simultaneous identities with an invited address exactly one becomes the invited user', async () => {
    for (let round = 0; round < 5; round++) {
      const email = `wanted-${round}@example.net`
      const invited = await inviteUser(server.deps, email)
      const tries = await Promise.allSettled(
        Array.from({ length: 20 }, () => admit(server.deps, person({ email }), null)),
      )
      const entered = tries.flatMap(one => (one.status === 'fulfilled' ? [one.value.id] : []))
      expect(entered).toEqual([invited.id])
    }
  })

  test('an invitation as administrator creates one, and inviting twice has no further effect', async () => {
    const first = await inviteUser(server.deps, 'deputy@example.net')
    const second = await inviteUser(server.deps, 'DEPUTY@example.net', true)
    expect(second.id).toBe(first.id)
    const sub = await expectEntered({ email: 'deputy@example.net', email_verified: true })
    expect(await userOf(sub)).toMatchObject({ id: first.id, is_admin: true })
  })

  test('somebody with a one-time link who later signs in with a provider is the same user', async () => {
    const link = new URL(await createSignInLink(server.deps, 'linked@example.net'))
    const browser = openBrowser()
    await browser.press(await browser.visit(link.href), '/auth/signin/link')
    expect(isSignedIn(browser, server)).toBe(true)
    const [session] = await server.deps.sql`select user_id from sessions order by created_at desc limit 1`
    const sub = await expectEntered({ email: 'linked@example.net', email_verified: true })
    expect((await userOf(sub)).id).toBe(session!.user_id)
  })
})

describe('a disabled user', () => {
  const disable = (id: string) => server.deps.sql`update users set disabled_at = ${server.deps.now()} where id = ${id}`

  test('cannot use an old session, sign in again, or use a link', async () => {
    const { browser, sub } = await enter({ email: 'leaver@example.com', email_verified: true })
    expect((await browser.visit(`${server.base}/account`)).url).toBe(`${server.base}/account`)
    const link = await createSignInLink(server.deps, 'leaver@example.com')
    await disable((await userOf(sub)).id)
    expect((await browser.visit(`${server.base}/account`)).url).toBe(`${server.base}/auth/signin?return_to=%2Faccount`)
    await expectKeptOut({ sub, email: 'leaver@example.com', email_verified: true }, TITLES.noAccess)
    const other = openBrowser()
    const page = await other.visit(link)
    expectRefusal(other, server, page, 403, TITLES.deadLink)
  })

  test('cannot sign in either if they were only invited', async () => {
    const invited = await inviteUser(server.deps, 'never@example.com')
    await disable(invited.id)
    await expectKeptOut({ email: 'never@example.com', email_verified: true }, TITLES.noAccess)
  })
})
