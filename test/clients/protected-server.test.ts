/** The README's example of another server that accepts this server's tokens, run unchanged. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { addClient } from '../../src/oauth/clients/index.ts'
import { follow, startCommand } from '../support/command.ts'
import { decide, deviceTokens, machineToken, registerClient, signIn } from '../support/flows.ts'
import { freePort } from '../support/ports.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

const PYTHON = '/usr/bin/python3'
const missing = !existsSync(PYTHON) || Bun.spawnSync([PYTHON, '-c', 'import requests']).exitCode !== 0

describe.skipIf(missing)('protected_server.py', () => {
  let server: TestServer
  let child: Bun.Subprocess<'ignore', 'pipe', 'inherit'>
  let resource: string
  beforeAll(async () => {
    const port = await freePort()
    resource = `http://localhost:${port}/mcp`
    server = await startServer({ RESOURCES: resource })
    const { id, secret } = await addClient(server.deps, {
      name: 'Protected server',
      grantTypes: ['client_credentials'],
      redirectUris: [],
      scope: ['mcp:tools:read'],
    })
    child = Bun.spawn([PYTHON, join(import.meta.dir, 'protected_server.py'), String(port)], {
      env: { ISSUER: server.base, CLIENT_ID: id, CLIENT_SECRET: secret!, PYTHONDONTWRITEBYTECODE: '1' },
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'inherit',
    })
    await follow(child.stdout).until(/accepts tokens from/)
  })
  afterAll(async () => {
    child.kill()
    await child.exited
    await server.close()
  })

  const greet = (token: string) =>
    fetch(resource.replace('localhost', '127.0.0.1'), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'greet', arguments: {} } }),
    })

  test('can be signed in to and called by a client that knows only its URL', async () => {
    const ada = await signIn(server)
    const login = startCommand(['login', resource])
    const stderr = follow(login.stderr)
    const [, code] = await stderr.until(/\/auth\/device\?code=([A-Z]{4}-[A-Z]{4})\n/)
    await decide(server, ada, code!)
    const said = await stderr.text()
    expect(said).toContain(`${resource} is protected by ${server.base}\n`)
    expect(said).toContain('1 tool:\n  greet  Greets the caller\n')
  })

  test('accepts only tokens for it that have the scope', async () => {
    const ada = await signIn(server)
    const client = await registerClient(server)
    const good = await deviceTokens(server, client, ada, { resource, scope: 'mcp:tools:call' })
    const answer = await greet(good.access_token)
    expect([answer.status, await answer.json()]).toMatchObject([200, { result: { content: [{ type: 'text' }] } }])
    const readOnly = await deviceTokens(server, client, ada, { resource, scope: 'mcp:tools:read' })
    const forHub = await machineToken(server, ['mcp'])
    for (const token of [readOnly.access_token, forHub, 'x']) expect((await greet(token)).status).toBe(401)
    await server.post('/api/oauth/revoke', { client_id: client, token: good.refresh_token })
    expect((await greet(good.access_token)).status).toBe(401)
  })
})
