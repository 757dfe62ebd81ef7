/**
 * Signs in to any MCP server by device code, using only its public endpoints: discovery (RFC 9728, RFC 8414) and
 * registration (RFC 7591) with the helpers of the MCP SDK, the device grant (RFC 8628), then MCP. It relies on nothing
 * specific to this server, and strips control characters from everything that it prints.
 */
import { hostname } from 'node:os'
import {
  type AuthorizationServerMetadata,
  Client,
  discoverOAuthServerInfo,
  extractWWWAuthenticateParams,
  InsufficientScopeError,
  RegistrationRejectedError,
  registerClient,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client'
import { renderUnicodeCompact } from 'uqr'
import { z } from 'zod'
import packageJson from '../../package.json' with { type: 'json' }
import {
  authorizeDevice,
  DEVICE_CODE_GRANT,
  type DevicePrompt,
  refusal,
  request,
  withoutNulls,
} from '../lib/device-grant.ts'
import { UsageError } from '../lib/errors.ts'
import { printableText } from '../lib/text.ts'
import { print, say } from './terminal.ts'

/** JSON in ASCII, so that text from another server cannot contain control or invisible characters. */
const printJson = (value: unknown) =>
  JSON.stringify(value, null, 2).replace(
    /[\u007f-\uffff]/g,
    char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

interface LoginOptions {
  clientId?: string
  scope?: string[]
  json?: boolean
}

/** Messages go to standard error; standard output is for the tokens of `--json`. */
export async function login(address: string, options: LoginOptions): Promise<void> {
  const url = URL.parse(address)
  if (!url || !/^https?:$/.test(url.protocol))
    throw new UsageError(`${address} is not a URL that begins with http:// or https://`)

  const target = await discover(url)
  say(`${target.resource ?? url.href} is protected by ${target.issuer}`)
  const clientId = options.clientId ?? (await register(target))
  const tokens = await authorizeDevice(
    {
      deviceAuthorizationEndpoint: target.deviceAuthorizationEndpoint,
      tokenEndpoint: target.metadata.token_endpoint,
      common: { client_id: clientId, ...(target.resource ? { resource: target.resource } : {}) },
      scope: options.scope?.join(' ') ?? target.scope,
    },
    showCode,
  )
  say('Signed in.\n')
  if (options.json) print(printJson({ client_id: clientId, resource: target.resource, ...tokens }))
  await showServer(target.resource ?? url.href, tokens.access_token)
}

/** An MCP server's authorization server, and what to request from it. */
interface Target {
  issuer: string
  metadata: AuthorizationServerMetadata
  deviceAuthorizationEndpoint: string
  /** Absent if the server publishes no protected-resource metadata, as in MCP 2025-03-26. */
  resource: string | undefined
  scope: string | undefined
}

async function discover(url: URL): Promise<Target> {
  const challenged = await request(url, { headers: { Accept: 'application/json, text/event-stream' } })
  await challenged.body?.cancel()
  const challenge = extractWWWAuthenticateParams(challenged)
  const found = await discoverOAuthServerInfo(url, {
    ...(challenge.resourceMetadataUrl ? { resourceMetadataUrl: challenge.resourceMetadataUrl } : {}),
    fetchFn: fetchMetadata,
    skipIssuerMetadataValidation: true, // checked below, ignoring a trailing slash
  }).catch(error => {
    if (error instanceof UsageError) throw error
    throw new UsageError(`The metadata for ${url.href} does not conform to RFC 8414 and RFC 9728`)
  })
  const { authorizationServerUrl, authorizationServerMetadata: metadata, resourceMetadata } = found
  if (!metadata)
    throw new UsageError(
      `${url.href} does not name an authorization server (no metadata of RFC 9728 or RFC 8414). Is it an MCP server?`,
    )
  const issuer = withoutSlash(webUrl(authorizationServerUrl, 'authorization server'))
  // RFC 8414 3.3: metadata of another issuer would let one server collect codes for another.
  if (withoutSlash(metadata.issuer) !== withoutSlash(authorizationServerUrl))
    throw new UsageError(`The metadata of ${issuer} names another issuer (${printableText(metadata.issuer, 200)})`)
  const deviceAuthorizationEndpoint = z
    .looseObject({ device_authorization_endpoint: z.string().optional() })
    .parse(metadata).device_authorization_endpoint
  if (!deviceAuthorizationEndpoint) throw new UsageError(`${issuer} has no device authorization endpoint (RFC 8628)`)
  const resource = resourceMetadata && webUrl(resourceMetadata.resource, 'resource')
  // RFC 9728 3.3: likewise, one server could collect tokens for another.
  if (resource && new URL(resource).origin !== url.origin)
    throw new UsageError(`${url.href} describes ${resource}, which is not at ${url.origin}`)
  return {
    issuer,
    metadata,
    deviceAuthorizationEndpoint: webUrl(deviceAuthorizationEndpoint, 'device authorization endpoint'),
    resource: resourceMetadata?.resource,
    scope: challenge.scope ?? resourceMetadata?.scopes_supported?.join(' '),
  }
}

/**
 * Fetches metadata and adapts it to the SDK's schemas, which are stricter than the RFC: they reject null members, and
 * require an authorization endpoint, which a server without browser grants does not need (RFC 8414 2).
 */
async function fetchMetadata(url: string | URL, init?: RequestInit): Promise<Response> {
  const answer = await request(url, init)
  if (!answer.ok) return answer
  const document = withoutNulls(await answer.json().catch(() => undefined))
  if (typeof document !== 'object' || document === null) return new Response(null, { status: 404 })
  if (!('token_endpoint' in document)) return Response.json(document)
  return Response.json({
    authorization_endpoint: document.token_endpoint,
    response_types_supported: [],
    ...document,
  })
}

function withoutSlash(issuer: string): string {
  return issuer.replace(/\/$/, '')
}

/** Normalizes an address from another server, so that it can be printed. @throws UsageError unless it is http or https. */
function webUrl(value: string, what: string): string {
  const url = URL.parse(value)
  if (!url || !/^https?:$/.test(url.protocol)) throw new UsageError(`The ${what} is not an http or https address`)
  return url.href
}

async function register({ metadata, issuer }: Target): Promise<string> {
  if (!metadata.registration_endpoint)
    throw new UsageError(
      'The server does not register clients; ask its operator for a client id and pass it with --client-id',
    )
  try {
    const { client_id } = await registerClient(issuer, {
      metadata,
      clientMetadata: {
        client_name: `${packageJson.name} login on ${hostname()}`,
        redirect_uris: [],
        grant_types: [DEVICE_CODE_GRANT, 'refresh_token'],
        response_types: [],
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        software_id: packageJson.name,
        software_version: packageJson.version,
      },
      fetchFn: async (url, init) => {
        const answer = await request(url, init)
        if (!answer.ok) return answer
        const registered = withoutNulls(await answer.json().catch(() => undefined))
        return Response.json({ redirect_uris: [], ...(registered as object | undefined) })
      },
    })
    return client_id
  } catch (error) {
    if (error instanceof UsageError) throw error
    if (!(error instanceof RegistrationRejectedError))
      throw new UsageError('The server answered the registration without a client_id')
    throw refusal('registration', { status: error.status, body: parsed(error.body) })
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // the error then shows the status
  }
}

function showCode({ link, userCode, expiresIn }: DevicePrompt): void {
  say(`\nOpen this page on any device, and check that it shows this code:\n\n  ${link}\n\n  ${userCode}\n`)
  say(renderUnicodeCompact(link, { border: 2 }))
  const minutes = Math.max(1, Math.round(expiresIn / 60))
  say(`\nWaiting until you approve (the code works for ${minutes} minute${minutes === 1 ? '' : 's'}) …`)
}

/** Connects as an MCP client, lists the tools, and calls `whoami` if the server has it. */
async function showServer(url: string, accessToken: string): Promise<void> {
  const client = new Client(
    { name: packageJson.name, version: packageJson.version },
    { versionNegotiation: { mode: 'auto' } },
  )
  const headers = { Authorization: `Bearer ${accessToken}` }
  try {
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }))
    const { tools } = await client.listTools()
    say(`${tools.length} tools:`)
    for (const { name, title, description } of tools)
      say(`  ${printableText(name, 128)}  ${printableText((title ?? description ?? '').split('\n')[0] ?? '', 200)}`)
    if (tools.some(tool => tool.name === 'whoami')) {
      const result = await client.callTool({ name: 'whoami', arguments: {} })
      say(`\nwhoami: ${printJson(result.structuredContent ?? result.content)}`)
    }
  } catch (error) {
    if (!(error instanceof InsufficientScopeError)) {
      const why = printableText((error as Error).message, 200)
      throw new UsageError(`Signed in, but ${url} does not answer as an MCP server: ${why}`)
    }
    const scope = printableText(error.requiredScope ?? '', 500)
    say(`The token lacks a scope that this server requires${scope ? `: ${scope}` : ''}.`)
  } finally {
    await client.close()
  }
}
