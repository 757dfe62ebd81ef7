/** Every command: its help, wrong usage, and its result for people at a terminal, for pipes and as JSON. In this process. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, spyOn, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { explain } from '../../src/cli/environment.ts'
import { leaves, openProgram, runProgram } from '../../src/cli/program.ts'
import { DEVICE_CODE_GRANT, deviceTokens, registerClient, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

const files = mkdtempSync(join(tmpdir(), 'commands-'))
let server: TestServer
const before = { ...process.env }
beforeAll(async () => {
  server = await startServer()
  Object.assign(process.env, server.env)
  process.stdout.setMaxListeners(0) // each run watches it
})
afterAll(async () => {
  for (const name of Object.keys(server.env)) delete process.env[name]
  Object.assign(process.env, before)
  await server.close()
  rmSync(files, { recursive: true })
})

interface Result {
  code: number
  stdout: string
  stderr: string
}

/** Runs a command as `main.ts` does. */
async function run(args: readonly string[], { terminal = false } = {}): Promise<Result> {
  const result: Result = { code: 0, stdout: '', stderr: '' }
  const capture = (stream: NodeJS.WriteStream, to: 'stdout' | 'stderr') =>
    spyOn(stream, 'write').mockImplementation((text: unknown) => {
      result[to] += text
      return true
    })
  const spies = [capture(process.stdout, 'stdout'), capture(process.stderr, 'stderr')]
  const wasTerminal = process.stdout.isTTY
  process.stdout.isTTY = terminal
  try {
    result.code = (await runProgram(args)) ?? 0
  } catch (error) {
    const { text, code } = explain(error)
    result.code = code
    result.stderr += `${text}\n`
  } finally {
    process.stdout.isTTY = wasTerminal
    for (const spy of spies) spy.mockRestore()
  }
  return result
}

const pathOf = (command: Command): string[] => (command.parent ? [...pathOf(command.parent), command.name()] : [])
const commands = leaves(openProgram()).map(command => ({
  command,
  path: pathOf(command),
  name: pathOf(command).join(' '),
}))

describe.each(commands)('$name', ({ command, path }) => {
  test('has help with its use, each option and examples that parse; an unknown option and a missing argument are wrong usage', async () => {
    const help = await run([...path, '--help'])
    expect([help.code, help.stderr]).toEqual([0, ''])
    expect(help.stdout).toStartWith(`Usage: mcp-oauth-server ${path.join(' ')} [options]`)
    for (const { long, description } of command.options) {
      expect(help.stdout).toContain(long!)
      expect(description).not.toBe('')
    }
    const [, examples = ''] = /^Examples?:\n([\s\S]+)$/m.exec(help.stdout) ?? []
    const lines = examples.trimEnd().split('\n')
    for (const line of lines) expect(await whatRuns(line)).toEqual([path.join(' ')])
    const wrong = await run([...path, '--nonsense'])
    expect([wrong.code, wrong.stdout]).toEqual([2, ''])
    expect(wrong.stderr).toContain(`(mcp-oauth-server ${path.join(' ')} --help shows the usage)`)
    if (!command.registeredArguments.some(({ required }) => required)) return
    const { code, stderr } = await run(path)
    expect([code, stderr]).toEqual([2, expect.stringMatching(/^error: missing required argument '/)])
  })
})

/** The command that a line of a shell would run, which is not run. */
async function whatRuns(line: string): Promise<string[]> {
  expect(line).toStartWith('  mcp-oauth-server ')
  const words = line.replace(/ [>|].*/, '').match(/"[^"]*"|\S+/g) ?? []
  const program = openProgram()
  const called: string[] = []
  for (const command of leaves(program)) command.action(() => void called.push(pathOf(command).join(' ')))
  const [, ...args] = words.map(word => word.replaceAll('"', ''))
  await program.parseAsync(args[0] === '-C' ? args.slice(2) : args, { from: 'user' })
  return called
}

test('the help of each group has an example of each of its commands', async () => {
  const groups = new Set(commands.flatMap(({ path }) => (path.length > 1 ? [path[0]!] : [])))
  for (const group of groups) {
    const { stdout } = await run([group, '--help'])
    for (const { name } of commands.filter(({ path }) => path[0] === group))
      expect(stdout).toContain(`\n  mcp-oauth-server ${name}`)
  }
})

/** What lists people, and a member of each in JSON. */
const LISTS: Record<string, [args: string[], header: RegExp, member: Record<string, unknown>]> = {
  'client list': [[], /^ID {2,}ADDED BY {2,}GRANTS {2,}SCOPE {2,}NAME\n/, { name: 'Editor', source: 'dynamic' }],
  'user list': [[], /^ADDRESS {2,}ROLE {2,}STATE {2,}SIGNED IN {2,}NAME\n/, { email: 'ada@example.com' }],
  'user show': [['ada@example.com'], /^WHAT {2,}ID {2,}NAME {2,}SINCE {2,}USED\n/, { linked_accounts: [] }],
  'connection list': [[], /^ID {2,}USER {2,}APP {2,}SCOPE {2,}RESOURCE {2,}USED {2,}NAME\n/, { client_name: 'Editor' }],
  'token list': [[], /^ID {2,}USER {2,}NAME {2,}SCOPE {2,}ENDPOINT {2,}EXPIRES {2,}USED\n/, { name: 'Script' }],
  'passkey list': [['ada@example.com'], /^ID {2,}NAME {2,}ADDED {2,}USED\n/, { name: 'laptop' }],
  'session list': [['ada@example.com'], /^ID {2,}BROWSER {2,}SIGNED IN {2,}ENDS\n/, { ip: '127.0.0.1' }],
  'key list': [[], /^ID {2,}CREATED {2,}SIGNS FROM {2,}REPLACED\n/, { retired_at: null }],
}

/** What changes something, in an order in which each works; then bad input, and the answer to it. */
const CHANGES: [command: string, args: string[], answer: RegExp, bad: string[], refusal: RegExp][] = [
  [
    'client add',
    ['Job', '--grant', 'client_credentials'],
    /^CLIENT_ID=c_\S+\nCLIENT_SECRET=mcs_\S+\n$/,
    ['Job', '--grant', 'x'],
    /^--grant x is not known; use /,
  ],
  ['client show', ['CLIENT'], /^id {12} {2}c_/, ['c_none'], /^There is no client c_none/],
  ['client rotate-secret', ['CLIENT'], /^CLIENT_SECRET=mcs_/, ['c_none'], /^There is no client c_none with a secret/],
  ['client remove', ['CLIENT'], /^Removed c_/, ['c_none'], /^There is no client c_none/],
  ['user invite', ['eve@example.com'], /^eve@example\.com can now sign in/, ['eve'], /^eve is not an e-mail address$/m],
  [
    'user link',
    ['eve@example.com'],
    /^http:\S+\/auth\/signin\/link\?token=mln_\S+\n$/,
    ['eve'],
    /^eve is not an e-mail address$/m,
  ],
  ['user promote', ['eve@example.com'], /is an administrator now\.\n$/, ['nobody@example.com'], /^There is no user/],
  ['user demote', ['eve@example.com'], /is no longer an administrator/, ['nobody@example.com'], /^There is no user/],
  ['user disable', ['eve@example.com'], /is signed out everywhere/, ['nobody@example.com'], /^There is no user/],
  ['user enable', ['eve@example.com'], /can sign in again/, ['nobody@example.com'], /^There is no user/],
  [
    'user remove',
    ['eve@example.com', '--yes'],
    /is removed, with their connections/,
    ['nobody@example.com', '--yes'],
    /^There is no user/,
  ],
  ['connection rename', ['CONNECTION', 'laptop'], /laptop/, ['x', 'laptop'], /^x is not the id of a connection/],
  ['connection end', ['CONNECTION'], /^Ended \S+\.\n$/, ['x'], /^x is not the id of a connection/],
  [
    'token add',
    ['Other', '--user', 'ada@example.com'],
    /^mpt_\S{49}\n$/,
    ['Other', '--expires', 'soon'],
    /^--expires soon is not a time such as /,
  ],
  ['token revoke', ['TOKEN'], /^Revoked \S+\.\n$/, ['x'], /^x is not the id of a token/],
  [
    'passkey remove',
    ['ada@example.com', 'PASSKEY'],
    /^Removed the passkey laptop\.\n$/,
    ['ada@example.com', 'x'],
    /has no passkey x/,
  ],
  [
    'session end',
    ['ada@example.com', '--all'],
    /^Signed ada@example\.com out of 1 browser\.\n$/,
    ['ada@example.com'],
    /^Give ids of browser sessions, or --all$/m,
  ],
  ['key rotate', [], /^New tokens are signed with \S+ from /, ['now'], /^error: too many arguments/],
  ['migrate', [], /^The schema is up to date\.\n$/, ['now'], /^error: too many arguments/],
  ['status', [], /^mcp-oauth-server \S+ at http:\S+: up\n/, ['now'], /^error: too many arguments/],
  ['audit list', ['--limit', '1'], /^\S+Z\tkey\.rotated\t.*\n$/, ['--limit', 'x'], /^--limit must be a whole number/],
  [
    'audit export',
    ['--event', 'user.removed'],
    /^at,event,email,client_id,grant_id,ip,detail\n\S+,user\.removed,.*actor=cli.*\n$/,
    ['--since', 'x'],
    /^--since x is not a time/,
  ],
  ['completion', ['bash'], /^_mcp_oauth_server\(\) \{/, ['tcsh'], /^There is no completion for tcsh/],
]

/** Their tests are elsewhere: they do not end, need other servers, or a program that is killed. */
const ELSEWHERE: Record<string, string> = {
  'audit tail': 'cli/list.test.ts',
  backup: 'cli/backup.test.ts',
  doctor: 'cli/doctor.test.ts',
  login: 'cli/login.test.ts',
  logout: 'cli/login.test.ts',
  restore: 'cli/backup.test.ts',
  serve: 'cli/operate.test.ts',
  'upstream check': 'gateway/configured.test.ts',
  'upstream list': 'gateway/configured.test.ts',
  'upstream restart': 'gateway/configured.test.ts',
  'upstream changes': 'gateway/configured.test.ts',
  'upstream trust': 'gateway/configured.test.ts',
}

test('each command is tested here or elsewhere', async () => {
  const tested = [...Object.keys(LISTS), ...CHANGES.map(([name]) => name), ...Object.keys(ELSEWHERE)]
  expect(tested.toSorted()).toEqual(commands.map(({ name }) => name).toSorted())
})

test('lists are tables at a terminal, tab-separated columns in a pipe, and arrays as JSON; changes say what was done', async () => {
  const cookie = await signIn(server, 'ada@example.com')
  const client = await registerClient(server, {
    client_name: 'Editor',
    grant_types: [DEVICE_CODE_GRANT, 'refresh_token'],
  })
  await deviceTokens(server, client, cookie)
  await run(['token', 'add', 'Script', '--user', 'ada@example.com'])
  await server.deps.sql`
    insert into passkeys (id, user_id, public_key, counter, name, backed_up, created_at)
    select passkey.name, users.id, ${Buffer.from('key')}, 0, passkey.name, false, now()
    from users, unnest(array['laptop', 'phone']) as passkey (name)
    where users.email = 'ada@example.com'`

  const json = async (...args: string[]) => JSON.parse((await run([...args, '--json'])).stdout)
  for (const [name, [args, header, member]] of Object.entries(LISTS)) {
    const command = [...name.split(' '), ...args]
    const [terminal, pipe] = [await run(command, { terminal: true }), await run(command)]
    expect([name, terminal.code, pipe.code, terminal.stdout, pipe.stdout]).toEqual([
      name,
      0,
      0,
      expect.stringMatching(header),
      expect.not.stringMatching(header),
    ])
    expect([name, terminal.stdout.includes('\t'), pipe.stdout.includes('\t')]).toEqual([name, false, true])
    // The same rows, without and with relative times.
    expect([name, terminal.stdout.split('\n').length - 1]).toEqual([name, pipe.stdout.split('\n').length])
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(terminal.stdout + pipe.stdout).not.toMatch(/\u001b/)
    expect([name, await json(...command)]).toEqual([name, expect.arrayContaining([expect.objectContaining(member)])])
  }

  const events = await run(['audit', 'list'], { terminal: true })
  expect(events.stdout).toMatch(/^AT {2,}EVENT {2,}EMAIL .* DETAIL\n(now|.* ago) {2,}\S+\.\S+ /)
  const first = async (...args: string[]) => (await json(...args))[0].id as string
  const ids: Record<string, () => Promise<string>> = {
    CLIENT: async () => (await json('client', 'list')).find((one: { name: string }) => one.name === 'Job').id,
    CONNECTION: () => first('connection', 'list'),
    TOKEN: () => first('token', 'list'),
    PASSKEY: () => first('passkey', 'list', 'ada@example.com'),
  }
  for (const [name, args, answer, bad, refusal] of CHANGES) {
    const { command } = commands.find(one => one.name === name)!
    const refused = await run([...name.split(' '), ...bad])
    expect([name, refused.code > 0, refused.stdout, refused.stderr]).toEqual([
      name,
      true,
      '',
      expect.stringMatching(refusal),
    ])
    const filled = await Promise.all(args.map(async word => (await ids[word]?.()) ?? word))
    const done = await run([...name.split(' '), ...filled])
    expect([name, done.code, done.stdout]).toEqual([name, 0, expect.stringMatching(answer)])
    if (!command.options.some(({ long }) => long === '--json')) continue
    // As JSON: one value, or a line for each event.
    const again = await run([...name.split(' '), ...filled, '--json'])
    const { stdout } = again
    const values = name.startsWith('audit ')
      ? stdout
          .trim()
          .split('\n')
          .map(line => JSON.parse(line))
      : [JSON.parse(stdout)]
    expect([name, again.code, values]).toEqual([name, 0, values.map(() => expect.any(Object))])
  }
})

test.each<[args: string[], refusal: RegExp]>([
  [['audit', 'tail', '--event', 'user.flew'], /^There is no event user\.flew; use /],
  [['doctor', 'mcp.example.com'], /^mcp\.example\.com is not a URL that begins with/],
  [['doctor', '--idle', 'x'], /^--idle must be a number of seconds/],
  [['logout', 'https://mcp.example.com/none'], /^No connection to https:\/\/mcp\.example\.com\/none is saved in /],
  [['upstream', 'list'], /^MCP_SERVERS is not set, /],
  [['upstream', 'check', 'x'], /^MCP_SERVERS is not set, /],
  [['upstream', 'restart', 'x'], /^MCP_SERVERS is not set, /],
  [['upstream', 'changes', 'x'], /^No tool of x is waiting to be accepted/],
  [['upstream', 'trust', 'x'], /^No tool of x is waiting to be accepted/],
  [['restore', '/nowhere.gz'], /^\/nowhere\.gz cannot be read \(ENOENT\)/],
])('bad input of what is tested elsewhere is refused in a sentence: %j', async (args, refusal) => {
  expect(await run(args)).toEqual({ code: 1, stdout: '', stderr: expect.stringMatching(refusal) })
})

test('whoever takes away the last administrator is told so, and how to make another', async () => {
  const user = (...args: string[]) => run(['user', ...args])
  const warning =
    'That was the last administrator: nobody can open the pages below /admin now. To make somebody one: mcp-oauth-server user promote EMAIL\n'
  for (const email of ['one@example.com', 'two@example.com']) await user('invite', email, '--admin')
  expect((await user('demote', 'one@example.com')).stderr).toBe('')
  expect((await user('demote', 'one@example.com')).stderr).toBe('')
  expect(await user('demote', 'two@example.com')).toMatchObject({ code: 0, stderr: warning })
  await user('promote', 'two@example.com')
  expect((await user('disable', 'two@example.com')).stderr).toBe(warning)
  expect((await user('disable', 'one@example.com')).stderr).toBe('')
  await user('enable', 'two@example.com')
  expect((await user('remove', 'two@example.com', '--yes')).stderr).toBe(warning)
})
