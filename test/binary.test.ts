/** The compiled binary, alone in an empty directory: no source, no node_modules, no environment. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import packageJson from '../package.json' with { type: 'json' }
import { binary } from './support/binary.ts'
import { follow } from './support/command.ts'
import { decide, deviceTokens, modernRpc, registerClient, requestDevice, rpc, sendSignInForm } from './support/flows.ts'
import { lives } from './support/gateway-children.ts'
import { pathOf } from './support/linking.ts'
import { allowAtNotes, HTML } from './support/notes-people.ts'
import { type NotesServer, startNotes } from './support/notes-server.ts'
import { freePort } from './support/ports.ts'
import { emptyDatabase, onPostgres, requestsTo, type TestServer } from './support/server.ts'
import { until } from './support/until.ts'

setDefaultTimeout(300_000)

const work = mkdtempSync(join(tmpdir(), 'mcp-oauth-binary-'))
const program = join(work, 'mcp-oauth-server')
const dir = mkdtempSync(join(work, 'empty-'))
const upstreams = join(work, 'mcp.json')
const port = await freePort()
let notes: NotesServer
let database: Awaited<ReturnType<typeof emptyDatabase>>

beforeAll(async () => {
  copyFileSync(binary(), program)
  const odd = { command: process.execPath, args: [join(import.meta.dir, 'support/odd-stdio.ts')] }
  notes = startNotes()
  writeFileSync(upstreams, JSON.stringify({ mcpServers: { odd, notes: { url: notes.url, auth: 'user' } } }))
  database = await emptyDatabase()
})
afterAll(async () => {
  running?.child.kill('SIGKILL') // if a test left it behind
  await notes[Symbol.asyncDispose]()
  await database.drop()
  rmSync(work, { recursive: true, force: true })
})

interface Running {
  /** Takes the flows of test/support/flows.ts, except those that need the server's insides. */
  server: TestServer
  child: Bun.Subprocess<'ignore', 'pipe', 'pipe'>
  stdout: ReturnType<typeof follow>
}

/** Runs the binary in `dir`, with PATH, its port, a file of upstream servers and, on PostgreSQL, the database. */
async function start(): Promise<Running> {
  const { DATABASE_URL, AUTH_SECRET } = database.env
  const child = Bun.spawn([program], {
    cwd: dir,
    env: {
      PATH: process.env.PATH ?? '',
      PORT: String(port),
      MCP_SERVERS: upstreams,
      // Without the grace for load balancers, which test/faults/ is about.
      ...(DATABASE_URL && AUTH_SECRET ? { DATABASE_URL, AUTH_SECRET, SHUTDOWN_GRACE: '0' } : {}),
    },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const stdout = follow(child.stdout)
  await stdout.until(/Try it from another terminal/)
  const server = { base: `http://localhost:${port}`, ...requestsTo(`http://127.0.0.1:${port}`) } as TestServer
  return { server, child, stdout }
}

/** Signs in with the link that the server printed. @returns the browser's cookie. */
async function signInAsPrinted(): Promise<string> {
  const { server, stdout } = running
  const [, token] = await stdout.until(/\/auth\/signin\/link\?token=(\S+)/)
  const answer = await sendSignInForm(server, '/auth/signin/link', { token: token! })
  expect(answer.status).toBe(303)
  return answer.headers.getSetCookie()[0]!.split(';')[0]!
}

/** The process that the fixture's tool `pid` answered from. */
async function pidOf(answer: Promise<Response>): Promise<number> {
  const { result } = (await (await answer).json()) as { result: { content: [{ text: string }] } }
  return Number(result.content[0].text)
}

/** Writes the head of a request and half of its body, and the rest when `finish` is called. */
async function halfRequest() {
  const body = '{"client_name":"Slow","grant_types":["urn:ietf:params:oauth:grant-type:device_code"]}'
  const socket = connect(port, '127.0.0.1')
  const answer = Promise.withResolvers<string>()
  let text = ''
  socket.on('data', chunk => {
    text += chunk
  })
  socket.on('close', () => answer.resolve(text))
  socket.on('error', answer.reject)
  await new Promise<void>(resolve => socket.once('connect', resolve))
  socket.write(
    `POST /api/oauth/register HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 20)}`,
  )
  return {
    finish(): Promise<string> {
      socket.write(body.slice(20))
      return answer.promise
    },
  }
}

// Its life, from test to test: the first start in an empty directory, a stop, a start, a crash, and one more start.
let running: Running
let cookie: string
let client: string
let token: string
let childPid: number

describe('the binary', () => {
  test('starts in an empty directory and serves the whole device flow and a tool call', async () => {
    running = await start()
    cookie = await signInAsPrinted()
    client = await registerClient(running.server)
    token = (await deviceTokens(running.server, client, cookie)).access_token
    const called = await rpc(running.server, token, 'tools/call', { name: 'whoami', arguments: {} })
    expect(await called.json()).toMatchObject({
      result: { structuredContent: { user: { email: 'admin@localhost', admin: true }, client: { id: client } } },
    })
  })

  test('starts the server of its file, and calls it at its endpoint and in the hub', async () => {
    const { server } = running
    const path = '/mcp/odd'
    const own = await deviceTokens(server, client, cookie, { resource: server.base + path })
    const calls = [
      rpc(server, own.access_token, 'tools/call', { name: 'pid' }, path),
      modernRpc(server, own.access_token, 'tools/call', { name: 'pid' }, { path }),
      rpc(server, token, 'tools/call', { name: 'odd__pid' }),
    ]
    const [first, ...others] = await Promise.all(calls.map(pidOf))
    expect(lives(first!)).toBe(true)
    expect(others).toEqual([first!, first!])
    childPid = first!
  })

  test('links an account at an upstream server, and uses it', async () => {
    const { server } = running
    const callback = await allowAtNotes(server, cookie, 'ada')
    const back = await server.get(pathOf(callback), { Cookie: cookie, ...HTML })
    expect([back.status, back.headers.get('location')]).toEqual([303, '/account/upstreams/notes'])
    const called = await rpc(server, token, 'tools/call', { name: 'notes__whoami' })
    expect(await called.json()).toMatchObject({ result: { content: [{ type: 'text', text: 'ada' }] } })
  })

  test('may hold a stream open for each of many clients of an upstream over HTTP', () => {
    const environment = readFileSync(`/proc/${running.child.pid}/environ`, 'utf8').split('\0')
    expect(environment).toContain('BUN_CONFIG_MAX_HTTP_REQUESTS=16384')
  })

  test('creates only ./data, which nobody else can read', () => {
    expect(readdirSync(dir)).toEqual(['data'])
    expect(statSync(join(dir, 'data')).mode & 0o777).toBe(0o700)
    const [name] = readdirSync(join(dir, 'data/children'))
    expect(name).toMatch(new RegExp(`^children-${running.child.pid}-[0-9a-f]{8}\\.json$`))
    const children = join('children', name!)
    for (const file of onPostgres ? [children] : [children, 'auth-secret', 'postgres.sock'])
      expect(statSync(join(dir, 'data', file)).mode & 0o777).toBe(0o600)
  })

  test.each([
    ['/', 'text/html; charset=utf-8'],
    ['/assets/style.css', 'text/css; charset=utf-8'],
    ['/assets/htmx.js', 'text/javascript; charset=utf-8'],
    ['/assets/icon.svg', 'image/svg+xml'],
  ])('has %s inside itself', async (path, type) => {
    const answer = await running.server.get(path)
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, type])
    expect((await answer.text()).length).toBeGreaterThan(100)
  })

  const json = (body: string) => ({ method: 'POST', headers: { 'Content-Type': 'application/json' }, body })
  test.each([
    ['no body', '/api/oauth/token', { method: 'POST' }, 401, 'invalid_client'],
    ['what is not JSON', '/api/oauth/token', json('{"hunter2'), 400, 'invalid_request'],
    ['what is not an object', '/api/oauth/register', json('["hunter2"]'), 400, 'invalid_client_metadata'],
    ['a wrong type', '/api/oauth/device', json('{"client_id":{"hunter2":1}}'), 400, 'invalid_request'],
    ['too much', '/api/oauth/device', json(`"${'hunter2'.repeat(20_000)}"`), 413, 'invalid_request'],
    ['an unknown path', '/api/hunter2', json('{}'), 404, 'not_found'],
    ['a wrong method', '/api/oauth/token', {}, 405, 'invalid_request'],
    ['a path that does not decode', '/api/oauth/%zz%00', {}, 404, 'not_found'],
    ['a decision without a session', '/api/oauth/device/authorize', json('{"id":"hunter2"}'), 401, 'access_denied'],
  ] as [string, string, RequestInit, number, string][])(
    'answers %s in our words, not the framework’s, and without what was sent',
    async (_, path, init, status, error) => {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, init)
      const text = await answer.text()
      expect([answer.status, JSON.parse(text).error]).toEqual([status, error])
      expect(text).not.toContain('hunter2')
    },
  )

  test('at SIGTERM finishes running requests, ends open streams, accepts no new ones, and exits with 0', async () => {
    const slow = await halfRequest()
    const stream = await running.server.get('/sse', { Authorization: `Bearer ${token}`, Accept: 'text/event-stream' })
    expect(stream.status).toBe(200)
    await running.server.get('/healthz') // so the server has seen the half request, which came first
    running.child.kill('SIGTERM')
    await running.stdout.until(/"signal":"SIGTERM"/)
    const refused = () =>
      running.server.get('/healthz', { Connection: 'close' }).then(
        () => false,
        () => true,
      )
    while (!(await refused())) await Bun.sleep(5)
    expect(await slow.finish()).toStartWith('HTTP/1.1 201 ')
    expect(await stream.text()).toContain('event: endpoint')
    expect(await running.child.exited).toBe(0)
    expect(await running.child.stderr.text()).toBe('')
    expect(lives(childPid)).toBe(false)
  })

  test('keeps sessions, clients and connections when it starts again', async () => {
    running = await start()
    const account = await running.server.get('/account', { Cookie: cookie })
    expect(await account.text()).toContain('Test client')
    expect((await rpc(running.server, token, 'tools/list')).status).toBe(200)
    expect((await requestDevice(running.server, client)).expires_in).toBe(600)
  })

  test('restarts after kill -9 with everything it had acknowledged and no leftover child', async () => {
    const device = await requestDevice(running.server, client)
    const child = await pidOf(rpc(running.server, token, 'tools/call', { name: 'odd__pid' }))
    running.child.kill('SIGKILL')
    await running.child.exited
    running = await start()
    await decide(running.server, cookie, device.user_code)
    const answer = await running.server.postJson('/api/oauth/device/token', { device_code: device.device_code })
    expect(answer.status).toBe(200)
    await until(() => !lives(child))
    running.child.kill('SIGTERM')
    expect(await running.child.exited).toBe(0)
  })

  test('says what is wrong with its configuration without a stack, and its version', () => {
    const run = (args: string[], env: Record<string, string>) => {
      const { exitCode, stdout, stderr } = Bun.spawnSync([program, ...args], { cwd: work, env })
      return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() }
    }
    expect(run([], { PORT: 'x', BASE_URL: 'y' })).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: `The configuration has 2 problems:
  - BASE_URL must be an http or https URL without a path, such as https://mcp.example.com
  - PORT must be a port number
`,
    })
    expect(run(['--version'], {})).toEqual({ exitCode: 0, stdout: `${packageJson.version}\n`, stderr: '' })
  })
})
