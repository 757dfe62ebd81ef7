/** Clients of several versions of the SDK that are in use, as they are installed from npm. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { Client as Client120 } from 'mcp-sdk-1.20/client/index.js'
import { StreamableHTTPClientTransport as Transport120 } from 'mcp-sdk-1.20/client/streamableHttp.js'

const INFO = { name: 'test', version: '1' }

/** Name, client and transport. All of them open sessions. */
export const SESSION_CLIENTS = [
  ['SDK 1.20', () => new Client120(INFO), Transport120],
  ['SDK 1.32', () => new ClientV1(INFO), TransportV1],
  [
    'client 2.4, legacy',
    () => new Client(INFO, { versionNegotiation: { mode: 'legacy' } }),
    StreamableHTTPClientTransport,
  ],
] as const

export type SessionClient = (typeof SESSION_CLIENTS)[number]

/** Connects, and offers a call of `whoami` that returns the user's address. */
export async function connectClient([, create, AnyTransport]: SessionClient, base: string, token: string) {
  const sdk = create() as Client
  const transport = new (AnyTransport as typeof StreamableHTTPClientTransport)(new URL(`${base}/mcp`), {
    requestInit: { headers: { Authorization: `Bearer ${token}` } },
  })
  await sdk.connect(transport)
  const whoami = async () => {
    const { structuredContent } = await sdk.callTool({ name: 'whoami', arguments: {} })
    return (structuredContent as { user: { email: string } }).user.email
  }
  return { sdk, transport, whoami }
}
