import { afterAll, beforeAll, describe, expect, spyOn, test } from 'bun:test'
import { identityFromClaims, identityFromGitHub } from '../../src/signin/identity.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { expectRefusal, isSignedIn, TITLES } from '../support/signin.ts'
import { openBrowser } from '../support/user-agent.ts'

const GOOGLE = 'https://accounts.google.com'

/** The claims of an id token as Google documents and sends them. */
const googleClaims = {
  iss: GOOGLE,
  azp: '1234987819200.apps.googleusercontent.com',
  aud: '1234987819200.apps.googleusercontent.com',
  sub: '10769150350006150715113082367',
  at_hash: 'HK6E_P6Dh8Y93mRNtsDB1Q',
  hd: 'example.com',
  email: 'jsmith@example.com',
  email_verified: true,
  name: 'Jane Smith',
  picture: 'https://lh3.googleusercontent.com/a/photo=s96-c',
  given_name: 'Jane',
  family_name: 'Smith',
  iat: 1353601026,
  exp: 1353604926,
  nonce: '0394852-3190485-2490358',
}

describe('the claims of an OpenID provider (OpenID Connect Core 5.1)', () => {
  test('of Google with a Workspace domain', () => {
    expect(identityFromClaims(GOOGLE, googleClaims)).toEqual({
      issuer: GOOGLE,
      subject: '10769150350006150715113082367',
      email: 'jsmith@example.com',
      emailVerified: true,
      name: 'Jane Smith',
    })
  })

  test.each([
    [true, true],
    ['true', true],
    [false, false],
    ['false', false],
    [undefined, false],
  ])('email_verified %p is %p', (email_verified, verified) => {
    expect(identityFromClaims(GOOGLE, { ...googleClaims, email_verified }).emailVerified).toBe(verified)
  })

  test.each([
    ['a name', { name: 'Jane' }, 'Jane'],
    ['no name but a user name', { name: undefined, preferred_username: 'jane' }, 'jane'],
    ['an empty name', { name: '', preferred_username: 'jane' }, 'jane'],
    ['null for a name', { name: null }, ''],
    ['a name of 1000 letters', { name: 'a'.repeat(1000) }, 'a'.repeat(100)],
  ])('with %s', (_, claims, name) => {
    expect(identityFromClaims(GOOGLE, { ...googleClaims, ...claims }).name).toBe(name)
  })

  test.each([
    ['nothing', undefined],
    ['null', null],
    ['a list', [googleClaims]],
    ['text', 'jsmith@example.com'],
    ['no subject', { ...googleClaims, sub: undefined }],
    ['a number as subject', { ...googleClaims, sub: 5 }],
    ['no address', { ...googleClaims, email: undefined }],
    ['null as address', { ...googleClaims, email: null }],
    ['a list of addresses', { ...googleClaims, email: ['jsmith@example.com'] }],
    ['an address without a domain', { ...googleClaims, email: 'jsmith@' }],
    ['an address with two @', { ...googleClaims, email: 'jsmith@example.com@evil.example' }],
    ['an address with a display name', { ...googleClaims, email: 'Jane <jsmith@example.com>' }],
    ['an endless address', { ...googleClaims, email: `${'a'.repeat(250)}@example.com` }],
    ['1 as email_verified', { ...googleClaims, email_verified: 1 }],
    ['"yes" as email_verified', { ...googleClaims, email_verified: 'yes' }],
  ])('that are %s are refused', (_, claims) => {
    expect(() => identityFromClaims(GOOGLE, claims)).toThrow(TITLES.refused)
  })
})

/** Responses of GitHub's REST API, without the fields that are not read. */
const gitHubUser = { login: 'octocat', id: 583231, node_id: 'MDQ6VXNlcjU4MzIzMQ==', name: 'The Octocat', email: null }
const primary = { email: 'octocat@example.com', primary: true, verified: true, visibility: 'private' }
const second = { email: 'work@example.org', primary: false, verified: true, visibility: null }
const noreply = { email: '583231+octocat@users.noreply.github.com', primary: false, verified: true, visibility: null }

describe('the answers of GitHub to /user and /user/emails', () => {
  test('with a private address: the primary one, and the numeric id as subject, because logins change hands', () => {
    expect(identityFromGitHub(gitHubUser, [second, primary, noreply])).toEqual({
      issuer: 'https://github.com',
      subject: '583231',
      email: 'octocat@example.com',
      emailVerified: true,
      name: 'The Octocat',
    })
  })

  test('ignore the profile’s address', () => {
    const user = { ...gitHubUser, email: 'boss@example.com' }
    expect(identityFromGitHub(user, [primary]).email).toBe('octocat@example.com')
  })

  test('with an unverified primary address are unverified, whatever else is verified', () => {
    const emails = [second, { ...primary, verified: false }]
    expect(identityFromGitHub(gitHubUser, emails)).toMatchObject({ email: primary.email, emailVerified: false })
  })

  test.each([[null], [undefined], ['']])('with the name %p show the login', name => {
    expect(identityFromGitHub({ ...gitHubUser, name }, [primary]).name).toBe('octocat')
  })

  test.each([
    ['no user', null, [primary]],
    ['an error', { message: 'Bad credentials', status: '401' }, [primary]],
    ['a user without a number', { ...gitHubUser, id: undefined }, [primary]],
    ['a user with a text as number', { ...gitHubUser, id: '583231' }, [primary]],
    ['a user with a number that is not exact', { ...gitHubUser, id: 2 ** 53 + 2 }, [primary]],
    ['a user with number zero', { ...gitHubUser, id: 0 }, [primary]],
    ['no addresses', gitHubUser, []],
    ['no primary address', gitHubUser, [second]],
    ['an error for addresses', gitHubUser, { message: 'Not Found' }],
    ['an address that does not say whether it is verified', gitHubUser, [{ email: primary.email, primary: true }]],
    ['"true" for verified', gitHubUser, [{ ...primary, verified: 'true' }]],
    ['a primary address that is none', gitHubUser, [{ ...primary, email: 'octocat' }]],
  ])('are refused with %s', (_, user, emails) => {
    expect(() => identityFromGitHub(user, emails)).toThrow(TITLES.refused)
  })
})

describe('a sign-in with GitHub', () => {
  let server: TestServer
  /** GitHub's responses, by URL. */
  let gitHub: Record<string, (request: Request) => Response | Promise<Response>>
  const network = globalThis.fetch
  let intercepted: ReturnType<typeof spyOn<typeof globalThis, 'fetch'>>

  beforeAll(async () => {
    server = await startServer({
      GITHUB_CLIENT_ID: 'hub-id',
      GITHUB_CLIENT_SECRET: 'hub-secret',
      ALLOWED_DOMAINS: 'example.com',
    })
    const ours = new URL(server.base).port
    const answer = async (input: string | URL | Request, init?: RequestInit) => {
      const request = input instanceof Request ? input : new Request(String(input), init)
      const { origin, pathname, port } = new URL(request.url)
      if (port === ours) return network(input, init)
      return (await gitHub[origin + pathname]?.(request)) ?? new Response('', { status: 404 })
    }
    intercepted = spyOn(globalThis, 'fetch').mockImplementation(answer as typeof fetch)
  }, 30_000)
  afterAll(async () => {
    intercepted.mockRestore()
    await server.close()
  })

  /** To GitHub and back with `code`. */
  async function trip() {
    const browser = openBrowser()
    const stopBefore = 'https://github.com/'
    const start = await browser.visit(`${server.base}/auth/signin`)
    const away = new URL((await browser.press(start, '/auth/signin/github', {}, { stopBefore })).url)
    const state = away.searchParams.get('state')
    const page = await browser.visit(`${server.base}/auth/callback/github?code=a-code&state=${state}`)
    return { browser, away, page }
  }

  const api = {
    'https://api.github.com/user': () => Response.json(gitHubUser),
    'https://api.github.com/user/emails': () => Response.json([primary]),
  }
  const tokenUrl = 'https://github.com/login/oauth/access_token'

  test('uses PKCE and the client secret, and never puts the token into a URL', async () => {
    const seen: Request[] = []
    const note = (answer: Response) => (request: Request) => {
      seen.push(request)
      return answer
    }
    gitHub = {
      [tokenUrl]: note(Response.json({ access_token: 'gho_x', scope: 'read:user,user:email', token_type: 'bearer' })),
      'https://api.github.com/user': note(api['https://api.github.com/user']()),
      'https://api.github.com/user/emails': note(api['https://api.github.com/user/emails']()),
    }
    const { browser, away, page } = await trip()
    expect(away.origin + away.pathname).toBe('https://github.com/login/oauth/authorize')
    expect(Object.fromEntries(away.searchParams)).toEqual({
      response_type: 'code',
      client_id: 'hub-id',
      redirect_uri: `${server.base}/auth/callback/github`,
      scope: 'read:user user:email',
      state: expect.stringMatching(/^[\w-]{32}$/),
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: 'S256',
    })
    const [exchange, ...calls] = seen
    expect(exchange!.headers.get('authorization')).toBe(`Basic ${btoa('hub-id:hub-secret')}`)
    const sent = new URLSearchParams(await exchange!.text())
    const challenge = new Bun.CryptoHasher('sha256').update(sent.get('code_verifier')!).digest('base64url')
    expect(challenge).toBe(away.searchParams.get('code_challenge')!)
    expect(calls.map(call => [call.url, call.headers.get('authorization')])).toEqual([
      ['https://api.github.com/user', 'Bearer gho_x'],
      ['https://api.github.com/user/emails', 'Bearer gho_x'],
    ])
    expect([page.url, isSignedIn(browser, server)]).toEqual([`${server.base}/`, true])
  })

  test('is refused when GitHub refuses the code, which it does with status 200', async () => {
    const error = { error: 'bad_verification_code', error_description: 'The code passed is incorrect or expired.' }
    gitHub = { ...api, [tokenUrl]: () => Response.json(error) }
    const { browser, page } = await trip()
    expectRefusal(browser, server, page, 403, TITLES.refused)
  })

  test('says if GitHub cannot be reached', async () => {
    const token = { [tokenUrl]: () => Response.json({ access_token: 'gho_x' }) }
    for (const broken of [
      { ...api, [tokenUrl]: () => new Response('unicorn', { status: 503 }) },
      { ...api, ...token, 'https://api.github.com/user': () => new Response('unicorn', { status: 502 }) },
      { ...api, ...token, 'https://api.github.com/user/emails': () => new Response('<h1>unicorn</h1>') },
    ]) {
      gitHub = broken
      const { browser, page } = await trip()
      expectRefusal(browser, server, page, 502, TITLES.unreachable)
      expect(page.html).not.toContain('unicorn')
    }
  })
})
