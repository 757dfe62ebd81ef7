/** The MCP Inspector in its command-line mode. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { follow } from '../support/command.ts'
import { consent, deviceTokens, machineToken, registerClient, signIn } from '../support/flows.ts'
import { inspect as inspectWith, startInspector } from '../support/inspector.ts'
import { freePort } from '../support/ports.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

let server: TestServer
let home: string
let token: string

beforeAll(async () => {
  server = await startServer()
  home = mkdtempSync(join(tmpdir(), 'inspector-'))
  token = (
    await deviceTokens(server, await registerClient(server), await signIn(server), { scope: 'mcp connections:manage' })
  ).access_token
})
afterAll(async () => {
  await server.close()
  rmSync(home, { recursive: true, force: true })
})

const start = (path: string, args: string[]) => startInspector(server.base + path, home, args)
const inspect = (path: string, args: string[], bearer = token) => inspectWith(server.base + path, home, bearer, args)

describe('the Inspector', () => {
  test.each([
    ['/mcp', 'http', 'legacy'],
    ['/mcp', 'http', 'auto'],
    ['/mcp', 'http', 'modern'],
    ['/sse', 'sse', 'legacy'],
    ['/api/sse', 'http', 'legacy'],
  ])('lists and calls tools at %s over %s, %s', async (path, transport, era) => {
    const how = ['--transport', transport, '--protocol-era', era]
    const { tools } = (await inspect(path, [...how, '--method', 'tools/list'])).out
    expect(tools.map((tool: { name: string }) => tool.name).sort()).toEqual([
      'list_connections',
      'revoke_connection',
      'whoami',
    ])
    const called = await inspect(path, [...how, '--method', 'tools/call', '--tool-name', 'whoami'])
    expect(called.out.structuredContent).toMatchObject({ user: { email: 'ada@example.com' } })
  })

  test('finds nothing in the tools’ schemas that other clients might reject', async () => {
    const admin = await machineToken(server, ['mcp', 'admin'])
    for (const bearer of [token, admin]) {
      const { code, err } = await inspect('/mcp', ['--method', 'tools/list', '--strict'], bearer)
      expect([code, err]).toEqual([0, ''])
    }
  })

  test('shows a tool’s error as an error', async () => {
    const args = [
      '--method',
      'tools/call',
      '--tool-name',
      'revoke_connection',
      '--tool-arg',
      `id=${crypto.randomUUID()}`,
    ]
    const { code, out } = await inspect('/mcp', args)
    expect([code, out]).toMatchObject([5, { isError: true }])
  })

  test('signs its user in by itself', async () => {
    const callback = `http://127.0.0.1:${await freePort()}/oauth/callback`
    const child = start('/mcp', ['--callback-url', callback, '--method', 'tools/call', '--tool-name', 'whoami'])
    const [link] = await follow(child.stderr).until(/http\S+\/api\/oauth\/authorize\?\S+/)
    const answer = await consent(server, await signIn(server), new URL(link).search.slice(1))
    expect((await fetch(answer)).status).toBe(200)
    const { result } = JSON.parse(await child.stdout.text())
    expect(result.structuredContent).toMatchObject({ user: { email: 'ada@example.com' } })
    expect(await child.exited).toBe(0)
  })
})
