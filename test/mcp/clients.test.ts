import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { deviceTokens, registerClient, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let url: URL
let requestInit: { headers: Record<string, string> }

beforeAll(async () => {
  server = await startServer()
  const tokens = await deviceTokens(server, await registerClient(server), await signIn(server))
  url = new URL(`${server.base}/mcp`)
  requestInit = { headers: { Authorization: `Bearer ${tokens.access_token}` } }
})
afterAll(() => server.close())

const USER_TOOLS = ['list_connections', 'whoami']
const INFO = { name: 'test', version: '1.0.0' }

describe('the client of the SDK, version 1', () => {
  test('lists and calls tools with a token', async () => {
    const client = new ClientV1(INFO)
    await client.connect(new TransportV1(url, { requestInit }))
    expect((await client.listTools()).tools.map(tool => tool.name).sort()).toEqual(USER_TOOLS)
    const result = await client.callTool({ name: 'whoami', arguments: {} })
    expect(result.structuredContent).toMatchObject({
      user: { email: 'ada@example.com', admin: false },
      client: { name: 'Test client' },
      resource: url.href,
    })
    await client.close()
  })
})

describe('the client of the SDK, version 2', () => {
  test.each([
    ['by default', {}, 'legacy'],
    ['pinned to the revisions before', { versionNegotiation: { mode: 'legacy' } }, 'legacy'],
    ['negotiating', { versionNegotiation: { mode: 'auto' } }, 'modern'],
    ['pinned to 2026-07-28', { versionNegotiation: { mode: { pin: '2026-07-28' } } }, 'modern'],
  ] as const)('lists and calls tools with a token, %s', async (_, options, era) => {
    const client = new Client(INFO, options)
    await client.connect(new StreamableHTTPClientTransport(url, { requestInit }))
    expect(client.getProtocolEra()).toBe(era)
    expect((await client.listTools()).tools.map(tool => tool.name).sort()).toEqual(USER_TOOLS)
    const result = await client.callTool({ name: 'whoami', arguments: {} })
    expect(result.structuredContent).toMatchObject({ user: { email: 'ada@example.com' } })
    await client.close()
  })
})
