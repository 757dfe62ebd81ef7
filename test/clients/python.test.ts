/** The README's example client, run unchanged. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { follow } from '../support/command.ts'
import { decide, registerClient, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

/** Debian's, which has python3-requests; other Pythons on the PATH need not. */
const PYTHON = '/usr/bin/python3'
const missing = !existsSync(PYTHON) || Bun.spawnSync([PYTHON, '-c', 'import requests']).exitCode !== 0

/** Loaded by Python before the client: records how long it would sleep, and sleeps a hundredth of that. */
const IMPATIENT = `
import sys, time
sleep = time.sleep
def impatient(seconds):
    print(f"slept {seconds}", file=sys.stderr, flush=True)
    sleep(seconds / 100)
time.sleep = impatient
`

let server: TestServer
let ada: string
const dir = mkdtempSync(join(tmpdir(), 'mcp-oauth-'))

beforeAll(async () => {
  server = await startServer()
  ada = await signIn(server)
  writeFileSync(join(dir, 'sitecustomize.py'), IMPATIENT)
})
afterAll(async () => {
  await server.close()
  rmSync(dir, { recursive: true, force: true })
})

/** Starts the client, and gives the code that it shows. */
async function start(...args: string[]) {
  const child = Bun.spawn([PYTHON, join(import.meta.dir, 'device_client.py'), server.base, ...args], {
    env: { PATH: process.env.PATH ?? '', PYTHONPATH: dir, PYTHONDONTWRITEBYTECODE: '1' },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const stdout = follow(child.stdout)
  const stderr = follow(child.stderr)
  const [, code] = await stdout.until(/shows the code ([A-Z-]{9})\n/)
  return { child, stdout, stderr, code: code! }
}

async function finish({ child, stdout, stderr }: Awaited<ReturnType<typeof start>>) {
  return { stdout: await stdout.text(), stderr: await stderr.text(), code: await child.exited }
}

const slept = (stderr: string) => [...stderr.matchAll(/^slept (\d+)$/gm)].map(match => Number(match[1]))

describe.skipIf(missing)('device_client.py', () => {
  test('discovers, registers, shows a code, waits for the approval, and calls tools at /api/sse with bare JSON-RPC', async () => {
    const client = await start()
    await decide(server, ada, client.code)
    const { stdout, code } = await finish(client)
    const [name, open, check, signedIn, protocol, tools, whoami] = stdout.trimEnd().split('\n')
    expect(code).toBe(0)
    expect(name).toMatch(/^mcp-oauth-server \d+\.\d+\.\d+$/)
    expect(open).toBe(`Open ${server.base}/auth/device?code=${client.code}`)
    expect(check).toBe(`and check that it shows the code ${client.code}`)
    expect(signedIn).toBe('Signed in; the token is valid for 3600 seconds')
    expect(protocol).toBe('Protocol: 2024-11-05')
    expect(tools).toBe('Tools: list_connections, whoami')
    expect(JSON.parse(whoami!.replace('whoami: ', ''))).toMatchObject({
      user: { email: 'ada@example.com', admin: false },
      client: { name: 'Python example' },
      scope: ['mcp:tools:read', 'mcp:tools:call'],
      resource: `${server.base}/mcp`,
    })
  })

  test('polls at the interval, adding 5 seconds on each slow_down (RFC 8628 3.5)', async () => {
    const client = await start()
    // The server's clock stands still meanwhile, so all polls but the first come too early.
    await client.stderr.until(/slept 15\n/)
    await decide(server, ada, client.code)
    const { code, stderr } = await finish(client)
    expect(code).toBe(0)
    const seconds = slept(stderr)
    expect(seconds.slice(0, 4)).toEqual([5, 5, 10, 15])
    expect(seconds).toEqual([5, ...seconds.slice(1).map((_, i) => 5 + 5 * i)])
  })

  test('uses a given client id, and exits with the reason when it is denied', async () => {
    const id = await registerClient(server, { client_name: 'Given' })
    const client = await start(id)
    await decide(server, ada, client.code, 'deny')
    const { code, stdout, stderr } = await finish(client)
    expect(code).toBe(1)
    expect(stdout).not.toContain('Signed in')
    expect(stderr).toEndWith('access_denied: The user denied the request\n')
  })
})
