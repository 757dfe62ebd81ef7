import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { configSchema, misspeltVariables, parseConfig } from '../src/config.ts'
import { UsageError } from '../src/lib/errors.ts'
import { ROOT, runCommand } from './support/command.ts'
import { freePort } from './support/ports.ts'

setDefaultTimeout(300_000)

const SECRET = 'a secret of the tests, 32 characters or more'
const noFiles = () => {
  throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
}
const parse = (env: Record<string, string>) => parseConfig(env, noFiles)

/** The problems that an operator reads, one per line. */
function problemsOf(env: Record<string, string>, readFile: (path: string) => string = noFiles): string[] {
  try {
    parseConfig(env, readFile)
    return []
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    const [head, ...problems] = error.message.split('\n')
    expect(head).toBe(`The configuration has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:`)
    return problems.map(line => line.replace(/^ {2}- /, ''))
  }
}

describe('.env.example', async () => {
  const text = await Bun.file(join(ROOT, '.env.example')).text()
  const entries = [...text.matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, key, value]) => [key!, value!] as const)

  test("lists exactly the schema's keys, each once and under a comment", () => {
    expect(entries.map(([key]) => key).sort()).toEqual(Object.keys(configSchema.shape).sort())
    const lines = text.split('\n')
    for (const [key] of entries) {
      expect([key, lines[lines.findIndex(line => line.startsWith(`${key}=`)) - 1]]).toEqual([
        key,
        expect.stringMatching(/^# .{10}/),
      ])
    }
  })

  test('copied as it is, changes nothing: its values are the defaults', () => {
    expect(parse(Object.fromEntries(entries))).toEqual(parse({}))
  })
})

test('a misspelt variable is reported with the right name', () => {
  const env = { ADMIN_EMAIL: 'a@example.com', BASEURL: 'https://a', ALLOWED_DOMAIN_FILE: 'x', PATH: '/bin', PORTS: '1' }
  expect(misspeltVariables(env)).toEqual([
    'ADMIN_EMAIL is not a setting of this server; use ADMIN_EMAILS',
    'BASEURL is not a setting of this server; use BASE_URL',
    'ALLOWED_DOMAIN_FILE is not a setting of this server; use ALLOWED_DOMAINS_FILE',
  ])
  expect(
    misspeltVariables({ ADMIN_EMAILS: 'a@example.com', AUTH_SECRET_FILE: 'x', NEXTAUTH_URL: 'https://a' }),
  ).toEqual([])
})

describe('parseConfig', () => {
  test('works without any variable', () => {
    expect(parse({})).toEqual({
      BASE_URL: 'http://localhost:3000',
      DATABASE_WAIT: 60,
      DATA_DIR: './data',
      HOST: '127.0.0.1',
      PORT: 3000,
      OIDC_NAME: 'OpenID',
      ALLOWED_EMAILS: [],
      ALLOWED_DOMAINS: [],
      ADMIN_EMAILS: [],
      REGISTRATION: 'open',
      RESOURCES: [],
      ALLOWED_ORIGINS: [],
      CLIENT_METADATA_DOCUMENTS: true,
      PERSONAL_TOKENS: true,
      TRUSTED_PROXIES: [],
      IDLE_TIMEOUT: 75,
      SHUTDOWN_GRACE: 0,
      LEGACY_SSE: true,
      ACCESS_TOKEN_TTL: 3600,
      REFRESH_TOKEN_TTL: 2_592_000,
      GRANT_TTL: 7_776_000,
      DEVICE_CODE_TTL: 600,
      SESSION_TTL: 1_209_600,
      NOTIFY_EVENTS: [
        ...['device.fetched', 'authorization.exchanged', 'client.registered', 'refresh.reused', 'user.refused'],
        ...['upstream.down', 'upstream.tools_changed', 'key.rotated'],
      ],
      ACCESS_LOG: true,
      ALLOW_HTTP: false,
      AUDIT_RETENTION: 365,
      SITE_ACCENT: '2457d6',
      LOG_LEVEL: 'info',
    })
    expect(parse({ PORT: '4000' }).BASE_URL).toBe('http://localhost:4000')
  })

  test('defaults to 5 seconds for load balancers where there may be replicas, and to 0 for a single process', () => {
    const replicas = { DATABASE_URL: 'postgres://db/x', AUTH_SECRET: SECRET }
    expect(parse(replicas).SHUTDOWN_GRACE).toBe(5)
    expect(parse({ ...replicas, SHUTDOWN_GRACE: '0' }).SHUTDOWN_GRACE).toBe(0)
    expect(parse({ SHUTDOWN_GRACE: '20' }).SHUTDOWN_GRACE).toBe(20)
  })

  test('normalizes BASE_URL: no trailing slash, lower case, no default port', () => {
    for (const given of ['https://mcp.example.com', 'https://mcp.example.com/', 'https://MCP.Example.com:443/'])
      expect(parse({ BASE_URL: given }).BASE_URL).toBe('https://mcp.example.com')
  })

  test('plain http is refused off this machine, unless ALLOW_HTTP says that the network is trusted', () => {
    const clear = { BASE_URL: 'http://192.168.1.5:3000' }
    expect(problemsOf(clear)).toEqual([expect.stringMatching(/^BASE_URL is plain http, .* ALLOW_HTTP=true/)])
    expect(parse({ ...clear, ALLOW_HTTP: 'true' }).BASE_URL).toBe(clear.BASE_URL)
    for (const own of ['http://localhost:1', 'http://127.0.0.1', 'http://[::1]:1'])
      expect(problemsOf({ BASE_URL: own })).toEqual([])
  })

  test('the README has the limits of every duration', async () => {
    const readme = await Bun.file(join(ROOT, 'README.md')).text()
    const stated = [...readme.matchAll(/^\| `(\w+)` \|.*\b(?:seconds|days)\b.*$/gm)].map(([row, name]) => {
      const [, from, to] = /from (\d+) to (\d+)/.exec(row) ?? []
      return { name: name!, from: Number(from), to: Number(to) }
    })
    expect(stated.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['GRANT_TTL', 'DATABASE_WAIT', 'AUDIT_RETENTION']),
    )
    for (const { name, from, to } of stated) {
      for (const within of [from, to]) expect([name, problemsOf({ [name]: String(within) })]).toEqual([name, []])
      for (const beyond of [from - 1, to + 1])
        expect([name, problemsOf({ [name]: String(beyond) })]).toEqual([name, [expect.stringContaining(name)]])
    }
  })

  test('splits lists at commas and spaces, in lower case', () => {
    const { ADMIN_EMAILS, ALLOWED_DOMAINS, TRUSTED_PROXIES } = parse({
      ADMIN_EMAILS: 'Ada@Example.com, bob@example.com',
      ALLOWED_DOMAINS: 'Example.com example.org',
      TRUSTED_PROXIES: '10.0.0.0/8,::1',
    })
    expect(ADMIN_EMAILS).toEqual(['ada@example.com', 'bob@example.com'])
    expect(ALLOWED_DOMAINS).toEqual(['example.com', 'example.org'])
    expect(TRUSTED_PROXIES).toEqual(['10.0.0.0/8', '::1'])
  })

  test('normalizes ALLOWED_ORIGINS to what browsers send: no trailing slash, lower case, no default port', () => {
    const { ALLOWED_ORIGINS } = parse({
      ALLOWED_ORIGINS:
        'https://App.Example.com:443/, http://dev.example:8080 chrome-extension://abcdef app://obsidian.md',
    })
    expect(ALLOWED_ORIGINS).toEqual([
      'https://app.example.com',
      'http://dev.example:8080',
      'chrome-extension://abcdef',
      'app://obsidian.md',
    ])
  })

  test('reads NEXTAUTH_URL and NEXTAUTH_SECRET where ours are not set, and names them in problems', () => {
    const old = { NEXTAUTH_URL: 'https://old.example', NEXTAUTH_SECRET: SECRET }
    expect(parse(old)).toMatchObject({ BASE_URL: 'https://old.example', AUTH_SECRET: SECRET })
    expect(parse({ ...old, BASE_URL: 'https://new.example' }).BASE_URL).toBe('https://new.example')
    expect(problemsOf({ NEXTAUTH_URL: 'https://old.example/api/auth', NEXTAUTH_SECRET: 'short' })).toEqual([
      'NEXTAUTH_URL must be an http or https URL without a path, such as https://mcp.example.com',
      'NEXTAUTH_SECRET must have at least 32 characters; generate one with: openssl rand -base64 48',
    ])
  })

  test('reads a value from the file that NAME_FILE names, without its last line break', () => {
    const files: Record<string, string> = { '/run/secrets/auth': `${SECRET}\n`, '/run/secrets/empty': '\n' }
    const read = (path: string) => files[path] ?? noFiles()
    expect(parseConfig({ AUTH_SECRET_FILE: '/run/secrets/auth' }, read).AUTH_SECRET).toBe(SECRET)
    expect(parseConfig({ NEXTAUTH_SECRET_FILE: '/run/secrets/auth' }, read).AUTH_SECRET).toBe(SECRET)
    expect(parseConfig({ AUTH_SECRET: '', AUTH_SECRET_FILE: '/run/secrets/auth' }, read).AUTH_SECRET).toBe(SECRET)
    expect(parseConfig({ PORT: '4000', PORT_FILE: '/run/secrets/auth' }, read).PORT).toBe(4000)
    expect(problemsOf({ AUTH_SECRET_FILE: '/run/secrets/empty' }, read)).toEqual([
      'AUTH_SECRET_FILE names a file that is empty',
    ])
  })

  test('an unreadable file is one problem, not two, and its value is not printed: it may be the secret', () => {
    expect(problemsOf({ DATABASE_URL: 'postgres://db/x', AUTH_SECRET_FILE: SECRET })).toEqual([
      'AUTH_SECRET_FILE names a file that cannot be read (ENOENT)',
    ])
  })

  test('what only a file or the audit log shows is reported with everything else', () => {
    const env = { PORT: 'x', SITE_LOGO: 'logo.png', SITE_ACCENT: 'blue', NOTIFY_EVENTS: 'key.rotated,key.rotatd' }
    expect(problemsOf(env)).toEqual([
      'SITE_LOGO cannot be read (ENOENT)',
      'PORT must be a port number',
      expect.stringMatching(/^NOTIFY_EVENTS names no event of the audit log: key\.rotatd; there are user\.signed_in, /),
      'SITE_ACCENT must be a colour such as 2457d6',
      'NOTIFY_URL is missing: it is required with NOTIFY_EVENTS',
    ])
  })

  test('an empty variable counts as not set', () => {
    expect(parse({ BASE_URL: '', PORT: '', GOOGLE_CLIENT_ID: '', DATABASE_URL: '' })).toEqual(parse({}))
  })

  test.each([
    ['BASE_URL', 'mcp.example.com'],
    ['BASE_URL', 'ftp://mcp.example.com'],
    ['BASE_URL', 'https://mcp.example.com/auth'],
    ['BASE_URL', 'https://mcp.example.com/?a=b'],
    ['BASE_URL', 'https://user@mcp.example.com/'],
    ['AUTH_SECRET', 'short'],
    ['DATABASE_URL', 'mysql://db/x'],
    ['PORT', '0'],
    ['PORT', '65536'],
    ['PORT', 'http'],
    ['PORT', '80.5'],
    ['IDLE_TIMEOUT', '19'],
    ['IDLE_TIMEOUT', '256'],
    ['SHUTDOWN_GRACE', '-1'],
    ['SHUTDOWN_GRACE', '1.5'],
    ['CLIENT_METADATA_DOCUMENTS', 'off'],
    ['OIDC_NAME', 'x'.repeat(41)],
    ['ALLOWED_EMAILS', 'example.com'],
    ['ALLOWED_DOMAINS', '@example.com'],
    ['ALLOWED_DOMAINS', '*.example.com'],
    ['ADMIN_EMAILS', 'ada'],
    ['REGISTRATION', 'yes'],
    ['TRUSTED_PROXIES', '10.0.0.0/33'],
    ['TRUSTED_PROXIES', 'proxy'],
    ['RESOURCES', 'https://own.example/mcp#x'],
    ['RESOURCES', 'own.example'],
    ['ALLOWED_ORIGINS', '*'],
    ['ALLOWED_ORIGINS', 'null'],
    ['ALLOWED_ORIGINS', 'app.example.com'],
    ['ALLOWED_ORIGINS', 'https://app.example.com/path'],
    ['ALLOWED_ORIGINS', 'https://*.example.com'],
    ['ACCESS_TOKEN_TTL', '1h'],
    ['ACCESS_TOKEN_TTL', '59'],
    ['ACCESS_TOKEN_TTL', '86401'],
    ['SESSION_TTL', '300.5'],
    ['LOG_LEVEL', 'verbose'],
  ])('refuses %s=%s with one line that names it and says what it must be', (key, value) => {
    const problems = problemsOf({ AUTH_SECRET: SECRET, [key]: value })
    expect(problems).toEqual([expect.stringMatching(new RegExp(`^${key} must (be|have|look like) `))])
    if (value.length > 4) expect(problems[0]).not.toContain(` ${value}`)
  })

  test.each([
    [{ GOOGLE_CLIENT_ID: 'x' }, ['GOOGLE_CLIENT_SECRET is missing: it is required with GOOGLE_CLIENT_ID']],
    [{ GOOGLE_CLIENT_SECRET: 'x' }, ['GOOGLE_CLIENT_ID is missing: it is required with GOOGLE_CLIENT_SECRET']],
    [{ GITHUB_CLIENT_ID: 'x' }, ['GITHUB_CLIENT_SECRET is missing: it is required with GITHUB_CLIENT_ID']],
    [{ GITHUB_CLIENT_SECRET: 'x' }, ['GITHUB_CLIENT_ID is missing: it is required with GITHUB_CLIENT_SECRET']],
    [{ OIDC_ISSUER: 'https://id.example' }, ['OIDC_CLIENT_ID is missing: it is required with OIDC_ISSUER']],
    [
      { OIDC_CLIENT_SECRET: 'x' },
      [
        'OIDC_ISSUER is missing: it is required with OIDC_CLIENT_SECRET',
        'OIDC_CLIENT_ID is missing: it is required with OIDC_CLIENT_SECRET',
      ],
    ],
    [{ OIDC_ISSUER: 'https://id.example', OIDC_CLIENT_ID: 'x' }, []],
    [{ GOOGLE_CLIENT_ID: 'x', GOOGLE_CLIENT_SECRET: 'y' }, []],
    [
      { DATABASE_URL: 'postgres://db/x' },
      [
        'AUTH_SECRET is missing: it is required with DATABASE_URL, with the same value on every replica; generate one with: openssl rand -base64 48',
      ],
    ],
    [{ NOTIFY_SECRET: `whsec_${btoa('x'.repeat(24))}` }, ['NOTIFY_URL is missing: it is required with NOTIFY_SECRET']],
    [{ NOTIFY_EVENTS: 'key.rotated' }, ['NOTIFY_URL is missing: it is required with NOTIFY_EVENTS']],
    [{ NOTIFY_EVENTS: parse({}).NOTIFY_EVENTS.join(',') }, []],
    [{ REGISTRATION: 'token' }, ['INITIAL_ACCESS_TOKEN is missing: it is required with REGISTRATION=token']],
  ] as [Record<string, string>, string[]][])('of what belongs together, %j', (env, problems) => {
    expect(problemsOf(env)).toEqual(problems)
  })
})

describe('serve with invalid settings', () => {
  const dir = mkdtempSync(join(tmpdir(), 'mcp-oauth-'))
  afterAll(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'file')
  writeFileSync(file, '', { mode: 0o644 })

  test('prints all problems together, without a stack, and exits with 1', async () => {
    const env = {
      PORT: 'x',
      BASE_URL: 'nowhere',
      DATABASE_URL: 'postgres://db/x',
      GITHUB_CLIENT_SECRET: 'a very secret value',
      LOG_LEVEL: 'loud',
    }
    expect(await runCommand(['serve'], env)).toEqual({
      code: 1,
      stdout: '',
      stderr: `The configuration has 5 problems:
  - BASE_URL must be an http or https URL without a path, such as https://mcp.example.com
  - PORT must be a port number
  - LOG_LEVEL must be fatal, error, warn, info, debug, trace or silent
  - GITHUB_CLIENT_ID is missing: it is required with GITHUB_CLIENT_SECRET
  - AUTH_SECRET is missing: it is required with DATABASE_URL, with the same value on every replica; generate one with: openssl rand -base64 48
`,
    })
  })

  test.each([
    [
      'a DATABASE_URL where nothing listens',
      { DATABASE_URL: 'postgres://me:hunter2@127.0.0.1:1/x', AUTH_SECRET: SECRET, DATABASE_WAIT: '0' },
      3,
      /^The database cannot be used: .*127\.0\.0\.1:1.*\. Check DATABASE_URL\.\n$/,
    ],
    [
      'a DATA_DIR that is a file',
      { DATA_DIR: file },
      1,
      /^DATA_DIR \(.*\/file\) cannot be used: .*\. It must be a directory owned by the user who runs the server\.\n$/,
    ],
    [
      'a DATA_DIR that is too long for a socket',
      { DATA_DIR: `/tmp/${'x'.repeat(100)}` },
      1,
      /^DATA_DIR is too long .*\n$/,
    ],
    [
      'a HOST that is not of this machine',
      { DATA_DIR: dir, HOST: '192.0.2.1' },
      1,
      /^Cannot listen on port \d+ of 192\.0\.2\.1 \(EADDRNOTAVAIL\); set HOST .*\n$/,
    ],
  ])('says in one line what is wrong with %s', async (_, env, exitCode, message) => {
    const port = String(await freePort())
    const { code, stdout, stderr } = await runCommand(['serve'], { LOG_LEVEL: 'error', PORT: port, ...env })
    expect({ code, stdout, stderr }).toEqual({ code: exitCode, stdout: '', stderr: expect.stringMatching(message) })
    expect(stderr).not.toContain('hunter2')
  })
})
