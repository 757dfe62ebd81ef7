/**
 * Signs in to any MCP server by device code, as a client of its public endpoints: discovery (RFC 9728, RFC 8414),
 * registration (RFC 7591), device grant (RFC 8628), then MCP. It knows nothing of the server in this repository.
 */
import { hostname } from 'node:os'
import { Client, InsufficientScopeError, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { renderUnicodeCompact } from 'uqr'
import { z } from 'zod'
import packageJson from '../../package.json' with { type: 'json' }
import { UsageError } from '../lib/errors.ts'
import { readArgs } from './environment.ts'

const USAGE = 'Usage: mcp-oauth-server login URL [--client-id ID] [--scope SCOPE]... [--json]'
const DEVICE_CODE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'
const TIMEOUT_MS = 10_000

/** People read standard error; `--json` puts the tokens on standard output, for scripts. */
const say = (text: string) => console.error(text)

export async function run(args: string[]): Promise<void> {
  const { values, positionals } = readArgs(args, {
    'client-id': { type: 'string' },
    scope: { type: 'string', multiple: true },
    json: { type: 'boolean', default: false },
  })
  const url = URL.parse(positionals[0] ?? '')
  if (positionals.length !== 1) throw new UsageError(USAGE)
  if (!url || !/^https?:$/.test(url.protocol))
    throw new UsageError(`${positionals[0]} is not an address; it begins with http:// or https://`)

  const resource = await discoverResource(url)
  const server = await discoverServer(resource.authorizationServer)
  say(`${resource.url} is guarded by ${server.issuer}`)
  const clientId = typeof values['client-id'] === 'string' ? values['client-id'] : await registerClient(server)
  const scope = values.scope?.join(' ') ?? resource.scope
  const tokens = await authorizeDevice(server, { clientId, resource: resource.url, scope })
  say('Signed in.\n')
  if (values.json) console.log(JSON.stringify({ client_id: clientId, resource: resource.url, ...tokens }, null, 2))
  await showServer(resource.url, tokens.access_token)
}

interface Resource {
  url: string
  authorizationServer: string
  scope: string | undefined
}

const resourceSchema = z.object({
  resource: z.url(),
  authorization_servers: z.array(z.url()).min(1),
  scopes_supported: z.array(z.string()).optional(),
})

/** The protected resource behind a URL: what its 401 points to, else the well-known addresses (RFC 9728 3, 5). */
async function discoverResource(url: URL): Promise<Resource> {
  const answer = await get(url.href, { Accept: 'application/json, text/event-stream' })
  await answer.body?.cancel()
  const challenge = answer.headers.get('www-authenticate') ?? ''
  const parameter = (name: string) => new RegExp(`\\b${name}="([^"]*)"`).exec(challenge)?.[1]
  const path = url.pathname.replace(/\/$/, '')
  const candidates = [
    parameter('resource_metadata'),
    path && `${url.origin}/.well-known/oauth-protected-resource${path}`,
    `${url.origin}/.well-known/oauth-protected-resource`,
  ]
  for (const candidate of candidates) {
    if (!candidate || !URL.canParse(candidate)) continue
    const metadata = resourceSchema.safeParse(await getJson(candidate))
    if (!metadata.success) continue
    const { resource, authorization_servers, scopes_supported } = metadata.data
    // Metadata of another resource would let one server collect tokens for another (RFC 9728 3.3).
    if (new URL(resource).origin !== url.origin)
      throw new UsageError(`${candidate} describes ${resource}, which is not at ${url.origin}`)
    return {
      url: resource,
      authorizationServer: authorization_servers[0]!,
      scope: parameter('scope') ?? scopes_supported?.join(' '),
    }
  }
  throw new UsageError(
    `${url.href} does not say who guards it (no protected-resource metadata, RFC 9728). Is it an MCP server?`,
  )
}

const serverSchema = z.object({
  issuer: z.string(),
  token_endpoint: z.url(),
  device_authorization_endpoint: z.url().optional(),
  registration_endpoint: z.url().optional(),
})
type AuthorizationServer = z.output<typeof serverSchema>

async function discoverServer(issuer: string): Promise<AuthorizationServer> {
  const url = new URL(issuer)
  const path = url.pathname.replace(/\/$/, '')
  const candidates = [
    `${url.origin}/.well-known/oauth-authorization-server${path}`,
    `${url.origin}/.well-known/openid-configuration${path}`,
    ...(path ? [`${url.origin}${path}/.well-known/openid-configuration`] : []),
  ]
  for (const candidate of candidates) {
    const metadata = serverSchema.safeParse(await getJson(candidate))
    if (!metadata.success) continue
    if (metadata.data.issuer !== issuer)
      throw new UsageError(`${candidate} names another issuer (${metadata.data.issuer})`)
    return metadata.data
  }
  throw new UsageError(`${issuer} publishes no authorization server metadata (RFC 8414)`)
}

async function registerClient(server: AuthorizationServer): Promise<string> {
  if (!server.registration_endpoint)
    throw new UsageError('The server registers no clients; ask its operator for an id and give it with --client-id')
  const registered = z.object({ client_id: z.string() }).safeParse(
    await post(server.registration_endpoint, {
      json: {
        client_name: `${packageJson.name} login on ${hostname()}`,
        grant_types: [DEVICE_CODE_GRANT, 'refresh_token'],
        response_types: [],
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        software_id: packageJson.name,
        software_version: packageJson.version,
      },
    }).then(accepted('registration')),
  )
  if (!registered.success) throw new UsageError('The server answered the registration without a client_id')
  return registered.data.client_id
}

const deviceSchema = z.object({
  device_code: z.string(),
  user_code: z.string(),
  verification_uri: z.url(),
  verification_uri_complete: z.url().optional(),
  expires_in: z.number(),
  interval: z.number().min(1).default(5),
})
const tokensSchema = z.looseObject({ access_token: z.string(), token_type: z.string() })

async function authorizeDevice(
  server: AuthorizationServer,
  ask: { clientId: string; resource: string; scope: string | undefined },
) {
  if (!server.device_authorization_endpoint)
    throw new UsageError('The server has no device authorization endpoint (RFC 8628)')
  const common = { client_id: ask.clientId, resource: ask.resource }
  const form = { ...common, ...(ask.scope ? { scope: ask.scope } : {}) }
  const started = deviceSchema.safeParse(
    await post(server.device_authorization_endpoint, { form }).then(accepted('device authorization')),
  )
  if (!started.success) throw new UsageError('The answer to the device authorization request is not one of RFC 8628')
  const device = started.data
  showCode(device)

  let interval = device.interval
  const end = Date.now() + device.expires_in * 1000
  while (Date.now() < end) {
    await Bun.sleep(interval * 1000)
    let answer: Answer
    try {
      answer = await post(server.token_endpoint, {
        form: { ...common, grant_type: DEVICE_CODE_GRANT, device_code: device.device_code },
      })
    } catch (error) {
      if (!(error instanceof UsageError)) throw error
      interval *= 2 // RFC 8628 3.5: back off when the connection times out
      continue
    }
    const error = z.object({ error: z.string() }).safeParse(answer.body).data?.error
    if (error === 'authorization_pending') continue
    if (error === 'slow_down') interval += 5
    else if (error === 'access_denied') throw new UsageError('The request was denied.')
    else if (error === 'expired_token') break
    else return tokensSchema.parse(accepted('token')(answer))
  }
  throw new UsageError('The code has expired; run the command again.')
}

function showCode(device: z.output<typeof deviceSchema>): void {
  const link = device.verification_uri_complete ?? device.verification_uri
  say(`\nOpen this page on any device, and check that it shows this code:\n\n  ${link}\n\n  ${device.user_code}\n`)
  say(renderUnicodeCompact(link, { border: 2 }))
  say(`\nWaiting until you approve (the code works for ${Math.round(device.expires_in / 60)} minutes) …`)
}

/** Connects as an MCP client would, lists the tools, and asks who it is where the server can tell. */
async function showServer(url: string, accessToken: string): Promise<void> {
  const client = new Client(
    { name: packageJson.name, version: packageJson.version },
    { versionNegotiation: { mode: 'auto' } },
  )
  await client.connect(
    new StreamableHTTPClientTransport(new URL(url), {
      requestInit: { headers: { Authorization: `Bearer ${accessToken}` } },
    }),
  )
  try {
    const { tools } = await client.listTools()
    say(`${tools.length} tools:`)
    for (const tool of tools) say(`  ${tool.name}  ${(tool.title ?? tool.description ?? '').split('\n')[0]}`)
    if (tools.some(tool => tool.name === 'whoami')) {
      const result = await client.callTool({ name: 'whoami', arguments: {} })
      say(`\nwhoami: ${JSON.stringify(result.structuredContent ?? result.content, null, 2)}`)
    }
  } catch (error) {
    if (!(error instanceof InsufficientScopeError)) throw error
    say(
      `The token does not reach further: that needs the scope ${error.requiredScope ?? 'that the server did not name'}.`,
    )
  } finally {
    await client.close()
  }
}

interface Answer {
  status: number
  body: unknown
}

/** The body of a good answer. @throws UsageError with the server's own error code and words. */
const accepted =
  (what: string) =>
  ({ status, body }: Answer): unknown => {
    if (status < 300) return body
    const error = z.object({ error: z.string(), error_description: z.string().optional() }).safeParse(body).data
    throw new UsageError(
      `The ${what} was refused: ${error ? `${error.error}${error.error_description ? ` (${error.error_description})` : ''}` : `HTTP ${status}`}`,
    )
  }

async function post(url: string, body: { json: unknown } | { form: Record<string, string> }): Promise<Answer> {
  const isJson = 'json' in body
  const answer = await request(url, {
    method: 'POST',
    headers: {
      Accept: 'application/json',
      'Content-Type': isJson ? 'application/json' : 'application/x-www-form-urlencoded',
    },
    body: isJson ? JSON.stringify(body.json) : new URLSearchParams(body.form),
  })
  return { status: answer.status, body: await answer.json().catch(() => undefined) }
}

async function getJson(url: string): Promise<unknown> {
  const answer = await get(url, { Accept: 'application/json' })
  return answer.ok ? answer.json().catch(() => undefined) : undefined
}

function get(url: string, headers: Record<string, string>): Promise<Response> {
  return request(url, { headers })
}

async function request(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) })
  } catch (error) {
    throw new UsageError(`${new URL(url).origin} cannot be reached: ${(error as Error).message}`)
  }
}
