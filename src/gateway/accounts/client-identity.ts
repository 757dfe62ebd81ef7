/**
 * Our client identity at an upstream's authorization server: the operator's registration, our client id metadata document,
 * or dynamic registration (RFC 7591), done once.
 */
import {
  type AuthorizationServer,
  type ClientAuth,
  ClientSecretPost,
  dynamicClientRegistrationRequest,
  None,
  processDynamicClientRegistrationResponse,
} from 'oauth4webapi'
import { deleteUpstreamClient, findUpstreamClient, insertUpstreamClient } from '../../../sql/upstream-clients.ts'
import type { Base } from '../../base.ts'
import { seal, unseal } from '../../lib/crypto.ts'
import { isLoopbackHost } from '../../lib/networks.ts'
import type { UpstreamConfig } from '../config.ts'
import { cannotLink } from './discovery.ts'
import { isReachable, type Reach, requestOptions } from './reach.ts'

export interface KnownClient {
  id: string
  secret?: string
  method: 'none' | 'client_secret_basic' | 'client_secret_post'
}

export const callbackOf = ({ config }: Pick<Base, 'config'>, upstream: string): string =>
  `${config.BASE_URL}/account/upstreams/${upstream}/callback`

export const DOCUMENT_PATH = '/.well-known/mcp-oauth-server/client.json'

/** Our client metadata, for our document and for registration. */
function metadataOf({ config }: Pick<Base, 'config'>, redirectUris: string[]) {
  const { host, hostname } = new URL(config.BASE_URL)
  return {
    client_name: `MCP gateway at ${host}`,
    client_uri: config.BASE_URL,
    redirect_uris: redirectUris,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    application_type: isLoopbackHost(hostname) ? 'native' : 'web',
  }
}

/** Our client id metadata document. @param upstreams Names of upstreams at which users link accounts. */
export function clientDocument(base: Pick<Base, 'config'>, upstreams: readonly string[]) {
  return {
    client_id: base.config.BASE_URL + DOCUMENT_PATH,
    ...metadataOf(
      base,
      upstreams.map(name => callbackOf(base, name)),
    ),
    token_endpoint_auth_method: 'none',
  }
}

/** @throws AppError if the server supports none of these. */
export async function clientAt(
  base: Base,
  config: UpstreamConfig,
  reach: Reach,
  server: AuthorizationServer,
): Promise<KnownClient> {
  const configured = configuredClient(config, server)
  if (configured) return configured
  const isPublic = base.config.BASE_URL.startsWith('https:')
  if (isPublic && server.client_id_metadata_document_supported === true)
    return { id: base.config.BASE_URL + DOCUMENT_PATH, method: 'none' }
  if (typeof server.registration_endpoint !== 'string')
    throw cannotLink(
      config,
      `the authorization server ${server.issuer} does not support registration: register this server there, with the redirect URI ${callbackOf(base, config.name)}, and set "client_id" in "auth"`,
    )
  return (await storedClient(base, config, server)) ?? (await register(base, config, reach, server))
}

/** The operator's own registration. */
export function configuredClient({ auth }: UpstreamConfig, server?: AuthorizationServer): KnownClient | undefined {
  if (auth?.clientId === undefined) return undefined
  if (auth.clientSecret === undefined) return { id: auth.clientId, method: 'none' }
  return { id: auth.clientId, secret: auth.clientSecret, method: methodAt(server) }
}

/** How to send a secret. The default is Basic (RFC 8414 2). */
function methodAt(server: AuthorizationServer | undefined): KnownClient['method'] {
  const methods: unknown = server?.token_endpoint_auth_methods_supported
  if (!Array.isArray(methods) || methods.includes('client_secret_basic')) return 'client_secret_basic'
  return 'client_secret_post'
}

async function storedClient(base: Base, config: UpstreamConfig, { issuer }: AuthorizationServer) {
  const at = { issuer, redirectUri: callbackOf(base, config.name) }
  const sealed = await findUpstreamClient(base.sql, at)
  return sealed && openClient(base, at, sealed)
}

async function register(
  base: Base,
  config: UpstreamConfig,
  reach: Reach,
  server: AuthorizationServer,
): Promise<KnownClient> {
  const { issuer, registration_endpoint: endpoint } = server
  const at = { issuer, redirectUri: callbackOf(base, config.name) }
  if (!isReachable(config, endpoint!))
    throw cannotLink(config, `the registration endpoint of ${issuer} is not at an https URL`)
  const offered: unknown = server.token_endpoint_auth_methods_supported
  const method = Array.isArray(offered) && offered.includes('none') ? 'none' : methodAt(server)
  const metadata = { ...metadataOf(base, [at.redirectUri]), token_endpoint_auth_method: method }
  let client: KnownClient
  try {
    const response = await dynamicClientRegistrationRequest(server, metadata as never, requestOptions(reach))
    const {
      client_id: id,
      client_secret: secret,
      token_endpoint_auth_method: given,
    } = await processDynamicClientRegistrationResponse(response)
    const agreed = METHODS.find(known => known === given) ?? (secret === undefined ? 'none' : methodAt(server))
    client = { id, method: agreed, ...(typeof secret === 'string' && agreed !== 'none' ? { secret } : {}) }
  } catch (error) {
    base.log.warn(
      { upstream: config.name, issuer, detail: (error as Error).message },
      'registration at an authorization server failed',
    )
    throw cannotLink(config, `registration at the authorization server ${issuer} failed`)
  }
  const sealed = seal(base.secrets.upstreamAccounts, JSON.stringify(client), aboutOf(at))
  return openClient(base, at, await insertUpstreamClient(base.sql, { ...at, client: sealed, now: base.now() }))
}

const METHODS = ['none', 'client_secret_basic', 'client_secret_post'] as const

/** Deletes a registration that its server no longer accepts, so that the next attempt registers again. */
export async function forgetClient(base: Base, config: UpstreamConfig, issuer: string): Promise<void> {
  await deleteUpstreamClient(base.sql, { issuer, redirectUri: callbackOf(base, config.name) })
}

const aboutOf = (at: { issuer: string; redirectUri: string }) => JSON.stringify(['client', at.issuer, at.redirectUri])

function openClient(base: Base, at: { issuer: string; redirectUri: string }, sealed: Uint8Array): KnownClient {
  return JSON.parse(unseal(base.secrets.upstreamAccounts, sealed, aboutOf(at)))
}

export function authenticationOf({ secret, method }: KnownClient): ClientAuth {
  if (secret === undefined || method === 'none') return None()
  if (method === 'client_secret_post') return ClientSecretPost(secret)
  // RFC 6749 2.3.1. Only what must be encoded is: many servers do not decode, and most client ids have a hyphen.
  return (_, { client_id: id }, __, headers) =>
    headers.set('authorization', `Basic ${btoa(`${formEncoded(id)}:${formEncoded(secret)}`)}`)
}

const formEncoded = (text: string) => new URLSearchParams([['', text]]).toString().slice(1)
