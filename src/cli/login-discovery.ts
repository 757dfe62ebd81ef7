/** Finds the authorization server of an MCP server (RFC 9728, RFC 8414), and registers there (RFC 7591). */
import { hostname } from 'node:os'
import {
  type AuthorizationServerMetadata,
  discoverOAuthServerInfo,
  extractWWWAuthenticateParams,
  RegistrationRejectedError,
  registerClient,
} from '@modelcontextprotocol/client'
import { z } from 'zod'
import packageJson from '../../package.json' with { type: 'json' }
import { DEVICE_CODE_GRANT, refusal, type Web, withoutNulls } from '../lib/device-grant.ts'
import { UsageError } from '../lib/errors.ts'
import { PROGRAM } from '../lib/program.ts'
import { printableText } from '../lib/text.ts'
import { systemUser } from './environment.ts'

/** An MCP server's authorization server, and what to request from it. */
export interface Target {
  issuer: string
  metadata: AuthorizationServerMetadata
  deviceAuthorizationEndpoint: string
  revocationEndpoint: string | undefined
  /** Absent if the server publishes no protected-resource metadata, as in MCP 2025-03-26. */
  resource: string | undefined
  scope: string | undefined
}

const furtherEndpoints = z.looseObject({
  device_authorization_endpoint: z.string().optional(),
  revocation_endpoint: z.string().optional(),
})

export async function discover(url: URL, web: Web): Promise<Target> {
  const challenged = await web(url, { headers: { Accept: 'application/json, text/event-stream' } })
  await challenged.body?.cancel()
  const challenge = extractWWWAuthenticateParams(challenged)
  const found = await discoverOAuthServerInfo(url, {
    ...(challenge.resourceMetadataUrl ? { resourceMetadataUrl: challenge.resourceMetadataUrl } : {}),
    fetchFn: (place, init) => fetchMetadata(web, place, init),
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
  const resource = resourceMetadata && webUrl(resourceMetadata.resource, 'resource')
  requireEndpoint(url, challenged.status, resource)
  const { device_authorization_endpoint: deviceAuthorizationEndpoint, revocation_endpoint: revocationEndpoint } =
    furtherEndpoints.parse(metadata)
  if (!deviceAuthorizationEndpoint) throw new UsageError(`${issuer} has no device authorization endpoint (RFC 8628)`)
  return {
    issuer,
    metadata,
    deviceAuthorizationEndpoint: webUrl(deviceAuthorizationEndpoint, 'device authorization endpoint'),
    revocationEndpoint: revocationEndpoint && webUrl(revocationEndpoint, 'revocation endpoint'),
    resource: resourceMetadata?.resource,
    scope: challenge.scope ?? resourceMetadata?.scopes_supported?.join(' '),
  }
}

/** @throws UsageError before somebody approves access to another endpoint than the one that they named. */
function requireEndpoint(url: URL, status: number, resource: string | undefined): void {
  // RFC 9728 3.3: otherwise, one server could collect tokens for another.
  if (resource && new URL(resource).origin !== url.origin)
    throw new UsageError(`${url.href} describes ${resource}, which is not at ${url.origin}`)
  if (url.pathname === '/') return // an address of a server, whose metadata names the endpoint
  const instead = resource && !isBelow(url, new URL(resource)) ? resource : undefined
  if (status !== 404 && instead === undefined) return
  const answer = status === 404 ? `${url.href} does not exist` : `${url.href} is not the MCP endpoint`
  throw new UsageError(instead ? `${answer}; its server names ${instead}: ${PROGRAM} login ${instead}` : answer)
}

/** Servers describe an endpoint, or everything below an address. */
function isBelow({ pathname }: URL, resource: URL): boolean {
  const path = withoutSlash(resource.pathname)
  return pathname === path || pathname.startsWith(`${path}/`)
}

/**
 * Fetches metadata and adapts it to the SDK's schemas, which are stricter than the RFC: they reject null members, and
 * require an authorization endpoint, which a server without browser grants does not need (RFC 8414 2).
 */
async function fetchMetadata(web: Web, url: string | URL, init?: RequestInit): Promise<Response> {
  const answer = await web(url, init)
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

function withoutSlash(address: string): string {
  return address.replace(/\/$/, '')
}

/** Normalizes an address from another server, so that it can be printed. @throws UsageError unless it is http or https. */
function webUrl(value: string, what: string): string {
  const url = URL.parse(value)
  if (!url || !/^https?:$/.test(url.protocol)) throw new UsageError(`The ${what} is not an http or https address`)
  return url.href
}

/** @returns the client's id. */
export async function register({ metadata, issuer }: Target, web: Web): Promise<string> {
  if (!metadata.registration_endpoint)
    throw new UsageError(
      'The server does not register clients; ask its operator for a client id and pass it with --client-id',
    )
  const user = systemUser()
  try {
    const { client_id } = await registerClient(issuer, {
      metadata,
      clientMetadata: {
        client_name: `${packageJson.name} login on ${hostname()}${user === undefined ? '' : ` by ${user}`}`,
        redirect_uris: [],
        grant_types: [DEVICE_CODE_GRANT, 'refresh_token'],
        response_types: [],
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        software_id: packageJson.name,
        software_version: packageJson.version,
      },
      fetchFn: async (url, init) => {
        const answer = await web(url, init)
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
