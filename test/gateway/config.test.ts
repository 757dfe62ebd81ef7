import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { parseServers, readServers } from '../../src/gateway/config.ts'
import { expandFor } from '../../src/gateway/expand.ts'
import { isMetadataAddress } from '../../src/gateway/metadata-addresses.ts'
import { UsageError } from '../../src/lib/errors.ts'

const PATH = '/etc/mcp.json'
const FILES: Record<string, string> = { '/run/secrets/token': 'from-a-file\n', '/run/secrets/empty': '' }
const readFile = (path: string) => {
  const text = FILES[path]
  if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
  return text
}

const parse = (text: string, env: Record<string, string | undefined> = {}) =>
  parseServers(text, { path: PATH, env, readFile })

/** The one upstream of a file with one entry. */
function parseEntry(entry: unknown, env: Record<string, string | undefined> = {}) {
  const { upstreams, warnings } = parse(JSON.stringify({ mcpServers: { files: entry } }), env)
  return { upstream: upstreams[0]!, warnings }
}

/** The lines of the error for a refused file. */
function refusal(text: string, env: Record<string, string | undefined> = {}): string[] {
  try {
    parse(text, env)
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError)
    return (error as UsageError).message.split('\n')
  }
  throw new Error('the file was taken')
}
const refusalOf = (entry: unknown, env: Record<string, string | undefined> = {}) =>
  refusal(JSON.stringify({ mcpServers: { files: entry } }), env)

describe('the file of upstreams', () => {
  test('a stdio server gets every default', () => {
    const { upstream, warnings } = parseEntry(
      { command: 'npx', args: ['-y', 'server'] },
      { PATH: '/bin', AUTH_SECRET: 'x' },
    )
    const { fingerprint, ...rest } = upstream
    expect(warnings).toEqual([])
    expect(fingerprint).toMatch(/^[0-9a-f]{64}$/)
    expect(rest).toEqual({
      name: 'files',
      transport: { type: 'stdio', command: 'npx', args: ['-y', 'server'], env: { PATH: '/bin' } },
      timeout: 60_000,
      maxTimeout: 600_000,
      startTimeout: 120_000,
      idleTimeout: 600_000,
      isolation: 'user',
      perPrincipal: false,
      concurrency: 16,
      queue: 64,
      maxBytes: 10_485_760,
      maxTools: 1000,
      tools: {},
      prompts: {},
      resources: {},
      scopes: {},
      roots: false,
      onChange: 'log',
      audit: { arguments: false, redact: [] },
    })
  })

  test('comments, trailing commas, a byte order mark and VS Code’s "servers" are accepted', () => {
    const { upstreams } = parse(`\uFEFF{
      // written by an editor
      "inputs": [],
      "servers": { "files": { "type": "stdio", "command": "node", "args": ["a.js",], }, /* one */ },
    }`)
    expect(upstreams.map(({ name, transport }) => [name, transport])).toEqual([
      ['files', { type: 'stdio', command: 'node', args: ['a.js'], env: {} }],
    ])
  })

  test.each([
    [undefined, 'auto'],
    ['http', 'auto'],
    ['streamable-http', 'streamable-http'],
    ['streamableHttp', 'streamable-http'],
    ['sse', 'sse'],
  ])('an HTTP server of type %p is reached as %s', (type, kind) => {
    const { upstream } = parseEntry({ url: 'http://127.0.0.1:9/mcp', headers: { Authorization: 'Bearer x' }, type })
    expect(upstream.transport).toEqual({
      type: 'http',
      kind: kind as 'auto',
      url: 'http://127.0.0.1:9/mcp',
      headers: { Authorization: 'Bearer x' },
    })
  })

  test('upstreams come sorted by name; a disabled one is left out, whatever else is wrong with it', () => {
    const { upstreams } = parse(
      '{"mcpServers": {"b": {"command": "b"}, "off": {"disabled": true, "command": "${UNSET}"}, "a": {"command": "a"}}}',
    )
    expect(upstreams.map(({ name }) => name)).toEqual(['a', 'b'])
  })

  test('an unknown field is a warning that names its place and suggests the right one', () => {
    const text =
      '{"mcpServers": {"files": {\n  "command": "a",\n  "alwaysAllow": ["x"],\n  "time_out": 5,\n  "tools": {"only": []}\n}}}'
    expect(parse(text).warnings).toEqual([
      '/etc/mcp.json:3:3 mcpServers.files.alwaysAllow is unknown and ignored',
      '/etc/mcp.json:4:3 mcpServers.files.time_out is unknown and ignored; did you mean "timeout"?',
      '/etc/mcp.json:5:13 mcpServers.files.tools.only is unknown and ignored',
    ])
  })

  test('a limit that looks like seconds, a glob in another syntax and a protocol header are warnings', () => {
    expect(parseEntry({ command: 'a', timeout: 60, tools: { deny: ['{read,write}_*'] } }).warnings).toEqual([
      '/etc/mcp.json:1:39 mcpServers.files.timeout is in milliseconds; for 60 seconds write 60000',
      '/etc/mcp.json:1:61 mcpServers.files.tools.deny has "{read,write}_*", but only * is a wildcard; write several globs instead',
    ])
    const { upstream, warnings } = parseEntry({ url: 'https://a.example', headers: { Accept: 'x', 'X-Key': 'k' } })
    expect(upstream.transport).toMatchObject({ headers: { 'X-Key': 'k' } })
    expect(warnings).toEqual([
      '/etc/mcp.json:1:62 mcpServers.files.headers.Accept is set by the protocol and ignored here',
    ])
  })

  test('maxTimeout follows a longer timeout', () => {
    expect(parseEntry({ command: 'a', timeout: 900_000 }).upstream.maxTimeout).toBe(900_000)
  })

  test('the fingerprint changes with what is expanded, not with the order of lines', () => {
    const of = (entry: unknown, env = {}) => parseEntry(entry, env).upstream.fingerprint
    const one = of({ command: 'a', env: { A: '1', B: '${SECRET}' } }, { SECRET: 's' })
    expect(of({ env: { B: '${SECRET}', A: '1' }, command: 'a' }, { SECRET: 's' })).toBe(one)
    expect(of({ command: 'a', env: { A: '1', B: '${SECRET}' } }, { SECRET: 't' })).not.toBe(one)
    expect(of({ command: 'a', env: { A: '1', B: '${SECRET}' }, timeout: 5000 }, { SECRET: 's' })).not.toBe(one)
  })

  test('a relative cwd starts at the file’s directory', () => {
    expect(parseEntry({ command: 'a', cwd: 'work' }).upstream.transport).toMatchObject({ cwd: '/etc/work' })
  })
})

describe('a bad file is refused with place and advice', () => {
  test.each<[text: string, lines: string[]]>([
    ['', ['/etc/mcp.json is empty; write an object with "mcpServers"']],
    ['{"mcpServers": {\n  "files": {"command" "a"}\n}}', ['/etc/mcp.json:2:23 is not valid JSON: colon expected']],
    ['{"mcpServers": {', ['/etc/mcp.json:1:17 is not valid JSON: close brace expected']],
    ['['.repeat(500_000), ['/etc/mcp.json is nested too deeply']],
    ['[]', ['/etc/mcp.json:1:1 must be an object with "mcpServers"']],
    ['{}', ['/etc/mcp.json:1:1 has no "mcpServers"; add it']],
    ['{"mcp_servers": {}}', ['/etc/mcp.json:1:2 mcp_servers must be spelled "mcpServers"']],
    [
      '{"mcpServers": {}, "servers": {}}',
      ['/etc/mcp.json:1:20 servers is present beside "mcpServers"; keep one of them'],
    ],
    ['{"mcpServers": []}', ['/etc/mcp.json:1:2 mcpServers must be an object that maps names to servers']],
    [
      '{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}',
      ['/etc/mcp.json:1:17 mcpServers.a is defined twice; keep one'],
    ],
    ['{"mcpServers": {"a": "npx"}}', ['/etc/mcp.json:1:17 mcpServers.a must be an object with "command" or "url"']],
    [
      '{"mcpServers": {"my files": {"command": "x"}, "my-files": {"command": "x"}}}',
      [
        '/etc/mcp.json:1:17 mcpServers.my files cannot be used in a URL (use letters, digits, ".", "_", "-", at most 64 characters); call it "my-files-2"',
      ],
    ],
    [
      '{"mcpServers": {"__proto__": {"command": "x"}, "../x": {"command": "x"}}}',
      [
        '/etc/mcp.json:1:17 mcpServers.__proto__ cannot be used in a URL (use letters, digits, ".", "_", "-", at most 64 characters); call it "proto"',
        '/etc/mcp.json:1:48 mcpServers.../x cannot be used in a URL (use letters, digits, ".", "_", "-", at most 64 characters); call it "x"',
      ],
    ],
  ])('%.60s', (text, lines) => {
    expect(refusal(text)).toEqual(lines)
  })

  test('names an unknown field where "command" and "url" are missing', () => {
    expect(refusal('{"mcpServers": {"a": {"comand": "npx"}, "b": {"serverUrl": "http://b"}}}')).toEqual([
      '/etc/mcp.json:1:23 mcpServers.a.comand is unknown and ignored',
      '/etc/mcp.json:1:17 mcpServers.a has neither "command" nor "url"; add one of them',
      '/etc/mcp.json:1:47 mcpServers.b.serverUrl is unknown and ignored; did you mean "url"?',
      '/etc/mcp.json:1:41 mcpServers.b has neither "command" nor "url"; add one of them',
    ])
  })

  test.each<[entry: Record<string, unknown>, message: string]>([
    [{}, 'has neither "command" nor "url"; add one of them'],
    [{ command: 'a', url: 'http://b' }, 'has both "command" and "url"; keep one of them'],
    [{ url: 'a', type: 'stdio' }, 'type must be "http" or "sse" with "url"'],
    [{ command: 'a', type: 'sse' }, 'type must be "stdio" with "command"'],
    [{ command: 'a', type: 'ws' }, 'type must be "stdio", "http", "streamable-http" or "sse"'],
    [{ command: 7 }, 'command must be a string in quotes'],
    [{ command: '' }, 'command must not be empty'],
    [{ command: 'a', args: 'b' }, 'args must be a list of strings, such as ["a", "b"]'],
    [{ command: 'a', args: ['b', 3] }, 'args.1 must be a string in quotes'],
    [{ command: 'a', env: { PORT: 3000 } }, 'env.PORT must be a string in quotes'],
    [{ command: 'a', env: { 'A=B': '3' } }, 'env.A=B is not a valid variable name'],
    [
      { command: 'a', timeout: '60000' },
      'timeout must be a whole number of milliseconds from 1 to 86400000, without quotes',
    ],
    [{ command: 'a', timeout: 0 }, 'timeout must be a whole number of milliseconds from 1 to 86400000, without quotes'],
    [
      { command: 'a', idleTimeout: 1.5 },
      'idleTimeout must be a whole number of milliseconds from 0 to 86400000, without quotes',
    ],
    [{ command: 'a', concurrency: true }, 'concurrency must be a whole number from 1 to 10000, without quotes'],
    [
      { command: 'a', maxBytes: 10 },
      'maxBytes must be a whole number of bytes from 1024 to 1073741824, without quotes',
    ],
    [{ command: 'a', timeout: 9000, maxTimeout: 8000 }, 'maxTimeout must be at least timeout, which is 9000'],
    [{ command: 'a', disabled: 'yes' }, 'disabled must be true or false, without quotes'],
    [{ command: 'a', isolation: 'none' }, 'isolation must be "user" or "session" or "shared"'],
    [{ command: 'a', tools: ['x'] }, 'tools must be an object such as {"allow": ["read_*"]}'],
    [{ command: 'a', tools: { allow: 'x' } }, 'tools.allow must be a list of strings, such as ["read_*"]'],
    [{ command: 'a', users: ['a@b.c', ''] }, 'users.1 must not be empty'],
    [{ command: 'a', scopes: { '*': 'two words' } }, 'scopes.* must be one scope, without spaces or quotes'],
    [{ command: 'a', onChange: 'stop' }, 'onChange must be "log" or "block"'],
    [{ command: 'a', audit: true }, 'audit must be an object such as {"arguments": true, "redact": ["password"]}'],
    [{ url: 'ftp://b' }, 'url must be an http or https URL'],
    [{ url: 'mcp.example.com/mcp' }, 'url must be an http or https URL'],
    [{ url: 'https://u:p@b.example' }, 'url must not contain a password; put an Authorization header into "headers"'],
    ...[
      { client_secret: 's', client_id: 'c' },
      { client_secret: 's', client_id: 'c', type: 'client' },
      { client_secret: 's', client_id: 'c', type: 'exchange', revocation_endpoint: 'https://b.example/revoke' },
    ].map((auth): [Record<string, unknown>, string] => [
      { url: 'https://b.example', auth },
      'auth needs "issuer" with "client_secret": the authorization server that the secret is for',
    ]),
    [
      { url: 'https://b.example', auth: { type: 'exchange', client_id: 'c', issuer: 'https://c.example' } },
      'auth needs "client_id" and "client_secret" for the type "exchange"',
    ],
    [{ url: 'https://b.example', headers: { 'X Key': 'x' } }, 'headers.X Key is not a valid header name'],
    [
      { url: 'https://b.example', headers: { 'X-Key': '鍵' } },
      'headers.X-Key must not contain characters that are invalid in a header',
    ],
    ...[
      '169.254.169.254',
      '[fd00:ec2::254]',
      '[::ffff:169.254.169.254]',
      '2852039166',
      'metadata.google.internal.',
      '100.100.100.200',
    ].map((host): [Record<string, unknown>, string] => [
      { url: `http://${host}/latest` },
      'url must not be a cloud metadata service, which would expose the credentials of this machine',
    ]),
  ])('%j', (entry, message) => {
    const lines = refusalOf(entry)
    expect(lines.map(line => line.replace(/^\/etc\/mcp\.json:1:\d+ mcpServers\.files[ .]/, ''))).toEqual([message])
  })

  test('all problems are reported at once, each with its line', () => {
    const text = '{"mcpServers": {\n"a": {"command": "x", "timeout": "1"},\n"b": {}\n}}'
    expect(refusal(text)).toEqual([
      '/etc/mcp.json:2:23 mcpServers.a.timeout must be a whole number of milliseconds from 1 to 86400000, without quotes',
      '/etc/mcp.json:3:1 mcpServers.b has neither "command" nor "url"; add one of them',
    ])
  })

  test('a file that cannot be read', () => {
    const read = () => readServers({ path: '/nowhere/mcp.json', env: {}, readFile: path => readFileSync(path, 'utf8') })
    expect(read).toThrow(
      new UsageError('/nowhere/mcp.json cannot be read (ENOENT); MCP_SERVERS must name a file that this user can read'),
    )
  })
})

describe('variables', () => {
  test('are expanded everywhere, from the environment, files and defaults, once', () => {
    const env = { BIN: 'node', DIR: '/srv', TOKEN_FILE: '/run/secrets/token', EMPTY: '', HIDDEN: '${DIR}' }
    expect(
      parseEntry(
        {
          command: '${BIN}',
          args: ['${DIR}/a', '${HIDDEN}', '${EMPTY:-none}${NO:-}'],
          cwd: '${DIR}',
          env: { T: 'x${TOKEN}' },
        },
        env,
      ).upstream.transport,
    ).toEqual({
      type: 'stdio',
      command: 'node',
      args: ['/srv/a', '${DIR}', 'none'],
      cwd: '/srv',
      env: { T: 'xfrom-a-file' },
    })
    expect(
      parseEntry({ url: 'https://${HOST:-a.example}/mcp', headers: { Authorization: 'Bearer ${TOKEN}' } }, env).upstream
        .transport,
    ).toMatchObject({ url: 'https://a.example/mcp', headers: { Authorization: 'Bearer from-a-file' } })
  })

  test.each<[value: string, message: string]>([
    ['${UNSET}', 'needs the variable UNSET, which is not set; set UNSET or UNSET_FILE'],
    ['${EMPTY}', 'needs the variable EMPTY, which is not set; set EMPTY or EMPTY_FILE'],
    ['${GONE}', 'needs GONE, but GONE_FILE names a file that cannot be read (ENOENT)'],
    ['${BLANK}', 'needs BLANK, but BLANK_FILE names a file that is empty'],
    ['${open', 'contains "${" without "}"'],
    ['${env:TOKEN}', 'contains ${env:TOKEN}, which is not supported; write ${TOKEN}'],
    [
      '${input:key}',
      'contains ${input:key}, which is not supported; a server cannot prompt for input: write ${NAME} and set that variable',
    ],
    [
      '${user.id}',
      'contains ${user.id}, which is not supported; use ${user.email}, ${user.sub}, ${user.name} or ${client.id}',
    ],
    ['${LINES}', 'must not contain a line break or NUL; check the variable that it comes from'],
    ['a\u0000', 'must not contain a line break or NUL; check the variable that it comes from'],
  ])('%j is refused in env and in headers, with the field', (value, message) => {
    const env = { EMPTY: '', GONE_FILE: '/gone', BLANK_FILE: '/run/secrets/empty', LINES: 'a\r\nX-Admin: 1' }
    const line = `mcpServers.files.env.KEY ${message}`
    expect(refusalOf({ command: 'a', env: { KEY: value } }, env).map(text => text.replace(/^\S+ /, ''))).toEqual([line])
    expect(refusalOf({ url: 'http://a', headers: { KEY: value } }, env).map(text => text.replace(/^\S+ /, ''))).toEqual(
      [line.replace('.env.', '.headers.')],
    )
  })

  test('a child inherits eight variables and nothing of ours', () => {
    const names = ['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'TERM', 'LANG', 'TMPDIR']
    const env = Object.fromEntries(
      [...names, 'AUTH_SECRET', 'DATABASE_URL', 'NODE_OPTIONS', 'LD_PRELOAD'].map(name => [name, 'v']),
    )
    const { transport } = parseEntry({ command: 'a', env: { HOME: '/h', EXTRA: 'e' } }, env).upstream
    expect(transport).toMatchObject({ type: 'stdio' })
    expect('env' in transport && transport.env).toEqual({
      ...Object.fromEntries(names.map(name => [name, 'v'])),
      HOME: '/h',
      EXTRA: 'e',
    })
  })
})

describe('placeholders of a principal', () => {
  const ada = { user: { id: 'u1', email: 'ada@example.com', name: 'Ada ${user.sub}' }, clientId: 'c1' }
  const machine = { clientId: 'c2' }

  test('stay until a principal is known, and are expanded once', () => {
    const { upstream } = parseEntry({
      command: 'a',
      env: { MAIL: '<${user.email}>', WHO: '${user.name}', SUB: '${user.sub}', APP: '${client.id}' },
    })
    expect(upstream.perPrincipal).toBe(true)
    expect(upstream.transport).toMatchObject({ env: { MAIL: '<${user.email}>' } })
    expect(expandFor(upstream.transport, ada)).toMatchObject({
      env: { MAIL: '<ada@example.com>', WHO: 'Ada ${user.sub}', SUB: 'u1', APP: 'c1' },
    })
  })

  test('a machine is identified by its client id; a value that it lacks needs a default', () => {
    const of = (value: string) =>
      expandFor(parseEntry({ url: 'http://a', headers: { X: value } }).upstream.transport, machine)
    expect(of('${user.sub} ${user.email:-nobody}')).toMatchObject({ headers: { X: 'c2 nobody' } })
    expect(() => of('${user.email}')).toThrow('the caller has no value for ${user.email}')
  })

  test('a name cannot break out of a header, and arrives in ASCII', () => {
    const { transport } = parseEntry({ url: 'http://a', headers: { 'X-Name': '${user.name}' } }).upstream
    const named = (name: string) => expandFor(transport, { ...ada, user: { ...ada.user, name } })
    expect(named('Jürgen 100%')).toMatchObject({ headers: { 'X-Name': 'J%C3%BCrgen 100%25' } })
    expect(() => named('a\r\nX-Admin: 1')).toThrow("the caller's user.name contains a control character")
  })

  test('a shared process cannot use the placeholders of a person', () => {
    expect(refusalOf({ command: 'a', env: { M: '${user.email}' }, isolation: 'shared' })).toEqual([
      '/etc/mcp.json:1:67 mcpServers.files.isolation must not be "shared" where ${user.…} or ${client.id} is used; write "user"',
    ])
  })

  test('are for env and headers only', () => {
    expect(refusalOf({ command: 'a', args: ['--user=${user.email}'] })).toEqual([
      '/etc/mcp.json:1:47 mcpServers.files.args.0 contains ${user.email}, which is available only in "env" and "headers"',
    ])
  })
})

test('addresses of metadata services are recognized; private addresses are not', () => {
  expect(
    ['169.254.169.254', 'fd00:ec2::254', '::ffff:169.254.169.254', '64:ff9b::a9fe:a9fe'].map(isMetadataAddress),
  ).toEqual([true, true, true, true])
  expect(['127.0.0.1', '10.0.0.1', '::1', 'fd00::1', 'example.com'].map(isMetadataAddress)).toEqual([
    false,
    false,
    false,
    false,
    false,
  ])
})
