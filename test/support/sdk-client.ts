/** An application built on the MCP SDK, version 1 or 2, that gets its own token and keeps its state in memory. */
import {
  Client as ClientV2,
  type OAuthClientProvider as ProviderV2,
  StreamableHTTPClientTransport as TransportV2,
} from '@modelcontextprotocol/client'
import type { OAuthClientProvider as ProviderV1 } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'

type Provider = ProviderV1 & ProviderV2
type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>

/** The state that an application keeps between runs. Several of its processes may share it. */
export interface Store {
  client?: Parameters<NonNullable<Provider['saveClientInformation']>>[0]
  tokens?: Parameters<Provider['saveTokens']>[0]
  verifier?: string
  discovery?: Awaited<ReturnType<NonNullable<Provider['discoveryState']>>>
}

export interface AppOptions {
  store?: Store
  grantTypes?: string[]
  clientMetadataUrl?: string
  fetch?: Fetch
}

export interface App {
  store: Store
  /** The scope that it requests, unless it leaves that to the SDK. */
  askFor: string | undefined
  /** The URLs that it has sent its user to. */
  authorizationUrls: URL[]
  /** The requests of its SDK so far, as `METHOD /path status`. */
  requests: string[]
  /** A new process of it, with its own client and transport. */
  start(): Session
}

export interface Session {
  connect(): Promise<void>
  listTools(): Promise<string[]>
  /** Calls `whoami`. @returns its structured content. */
  whoami(): Promise<unknown>
  /** Passes the parameters of the redirect URI to the SDK. */
  finishAuth(answer: URLSearchParams): Promise<void>
  close(): Promise<void>
}

export type Version = 'version 1' | 'version 2'
export const VERSIONS: Version[] = ['version 1', 'version 2']
export const STATE = 'state-of-the-app'
const INFO = { name: 'sdk-app', version: '1.0.0' }

export function createApp(version: Version, serverUrl: string, redirectUrl: string, options: AppOptions = {}): App {
  const { store = {}, grantTypes = ['authorization_code', 'refresh_token'], clientMetadataUrl } = options
  const authorizationUrls: URL[] = []
  const requests: string[] = []
  const authProvider: Provider = {
    redirectUrl,
    ...(clientMetadataUrl ? { clientMetadataUrl } : {}),
    clientMetadata: {
      client_name: `App on ${version}`,
      redirect_uris: [redirectUrl],
      grant_types: grantTypes,
      token_endpoint_auth_method: 'none',
    },
    state: () => STATE,
    clientInformation: () => store.client,
    saveClientInformation(client) {
      store.client = client
    },
    tokens: () => store.tokens,
    saveTokens(tokens) {
      store.tokens = tokens
    },
    codeVerifier: () => store.verifier ?? '',
    saveCodeVerifier(verifier) {
      store.verifier = verifier
    },
    discoveryState: () => store.discovery,
    saveDiscoveryState(state) {
      store.discovery = state
    },
    invalidateCredentials(what) {
      if (what === 'all' || what === 'client') delete store.client
      if (what === 'all' || what === 'tokens') delete store.tokens
    },
    redirectToAuthorization(url) {
      if (app.askFor !== undefined) url.searchParams.set('scope', app.askFor)
      authorizationUrls.push(url)
    },
  }
  const send: Fetch = options.fetch ?? fetch
  /** @param answered Called for every request that got a response. */
  const transportOptions = (answered: (request: string) => void) => ({
    authProvider,
    async fetch(url: string | URL, init?: RequestInit) {
      const answer = await send(url, init)
      const request = `${init?.method ?? 'GET'} ${new URL(url).pathname} ${answer.status}`
      requests.push(request)
      answered(request)
      return answer
    },
  })
  const url = new URL(serverUrl)
  const app: App = {
    store,
    askFor: undefined,
    authorizationUrls,
    requests,
    start() {
      if (version === 'version 1') {
        const client = new ClientV1(INFO)
        const streamAsked = Promise.withResolvers<void>()
        const transport = new TransportV1(
          url,
          transportOptions(request => request.startsWith(`GET ${url.pathname} `) && streamAsked.resolve()),
        )
        return {
          async connect() {
            await client.connect(transport)
            await streamAsked.promise // it asks for a stream behind our back: not later, with a clock that was advanced
          },
          listTools: async () => (await client.listTools()).tools.map(tool => tool.name),
          whoami: async () => (await client.callTool({ name: 'whoami' })).structuredContent,
          // This version takes only the code and leaves `state` and `iss` to the application.
          finishAuth: answer => transport.finishAuth(answer.get('code') ?? ''),
          close: () => client.close(),
        }
      }
      const client = new ClientV2(INFO, { versionNegotiation: { mode: 'auto' } })
      const transport = new TransportV2(
        url,
        transportOptions(() => {}),
      )
      return {
        connect: () => client.connect(transport),
        listTools: async () => (await client.listTools()).tools.map(tool => tool.name),
        whoami: async () => (await client.callTool({ name: 'whoami' })).structuredContent,
        finishAuth: answer => transport.finishAuth(answer),
        close: () => client.close(),
      }
    },
  }
  return app
}

/** A connected client of SDK 1, in a session, or SDK 2, of 2026-07-28 where the server speaks it. @param token Its access token. */
export async function connectClient(version: 1 | 2, serverUrl: string, token: string): Promise<ClientV1 | ClientV2> {
  const url = new URL(serverUrl)
  const options = { requestInit: { headers: { Authorization: `Bearer ${token}` } } }
  if (version === 1) {
    const client = new ClientV1(INFO)
    await client.connect(new TransportV1(url, options) as Transport)
    return client
  }
  const client = new ClientV2(INFO, { versionNegotiation: { mode: 'auto' } })
  await client.connect(new TransportV2(url, options))
  return client
}
