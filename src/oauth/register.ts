/** /api/oauth/register: dynamic client registration (RFC 7591) and its management (RFC 7592). */

import { Elysia } from 'elysia'
import type { ClientRow } from '../../sql/clients.ts'
import { record, recordRepeatable } from '../audit/events.ts'
import { bearerToken } from '../http/authorization.ts'
import { clientAddress, type Handled } from '../http/client-address.ts'
import { noStoreJson } from '../http/json.ts'
import { identify } from '../http/requests.ts'
import { CROSS_ORIGIN } from '../http/routes.ts'
import { traced } from '../http/traced.ts'
import { hashSecret, sameBytes } from '../lib/crypto.ts'
import { OAuthError } from '../lib/errors.ts'
import { networkOf } from '../lib/networks.ts'
import { giveBack, LIMITS, takeHit } from '../limits.ts'
import { isIssuedId, removeClient } from './clients/index.ts'
import { changeRegistration, readMetadata, registerClient } from './clients/registration.ts'
import type { OAuthDeps } from './deps.ts'
import { lookUpClient } from './memory.ts'
import { requestableScope } from './scopes.ts'

const PATH = '/api/oauth/register'

export const register = (deps: OAuthDeps) => {
  const answer = async (handled: Handled) => {
    const { request, server } = handled
    const trusted = mayRegister(deps, handled)
    const ip = clientAddress(deps, request, server)
    const network = networkOf(ip)
    takeHit(deps.limits, deps.now(), LIMITS.registrations, network)
    const { client, secret, managementToken } = await registerClient(deps, await readMetadata(request), trusted)
    identify(request, { client: client.id })
    if (managementToken) record(deps, 'client.registered', { clientId: client.id, ip, detail: { name: client.name } })
    else giveBack(deps.limits, LIMITS.registrations, network) // it was already registered
    return noStoreJson(clientInformation(deps, client, { secret, managementToken }), 201)
  }
  const handle = ({ request, server }: Handled) =>
    traced(deps, { request, server }, 'registration', () => answer({ request, server }))
  return new Elysia({ name: 'oauth-register' })
    .post(PATH, handle, { parse: 'none', ...CROSS_ORIGIN })
    .post('/register', handle, { parse: 'none', ...CROSS_ORIGIN }) // for MCP 2025-03-26 clients that do not read metadata
    .get(`${PATH}/:id`, async ({ request, server, params }) =>
      noStoreJson(
        clientInformation(deps, await requireManager(deps, { request, server }, params.id), {
          managementToken: bearerToken(request),
        }),
      ),
    )
    .put(
      `${PATH}/:id`,
      async ({ request, server, params }) => {
        const client = requireUnshared(await requireManager(deps, { request, server }, params.id))
        const changed = await changeRegistration(deps, client, await readMetadata(request))
        recordRepeatable(deps, 'client.updated', { clientId: client.id, ip: clientAddress(deps, request, server) })
        return noStoreJson(clientInformation(deps, requireUnshared(changed), { managementToken: bearerToken(request) }))
      },
      { parse: 'none' },
    )
    .delete(
      `${PATH}/:id`,
      async ({ request, server, params }) => {
        const client = requireUnshared(await requireManager(deps, { request, server }, params.id))
        if (!(await removeClient(deps, client.id, { unlessShared: true }))) requireUnshared(undefined)
        return new Response(null, { status: 204, headers: { 'Cache-Control': 'no-store' } })
      },
      { parse: 'none' },
    )
}

/** @returns whether the request has the initial access token (RFC 7591 3). @throws OAuthError if it may not register a client. */
function mayRegister(deps: OAuthDeps, handled: Handled): boolean {
  const { REGISTRATION, INITIAL_ACCESS_TOKEN } = deps.config
  const token = /^bearer (.+)$/i.exec(handled.request.headers.get('authorization') ?? '')?.[1]
  if (REGISTRATION === 'closed') {
    recordRefused(deps, handled, 'registration is closed')
    throw new OAuthError('access_denied', 'Registration is closed; ask the operator of this server for a client id', {
      status: 403,
    })
  }
  if (token !== undefined) {
    if (INITIAL_ACCESS_TOKEN && sameBytes(hashSecret(token), hashSecret(INITIAL_ACCESS_TOKEN))) return true
    recordRefused(deps, handled, 'wrong initial access token')
    throw notAllowed('The initial access token is not valid', 'Bearer error="invalid_token"')
  }
  if (REGISTRATION === 'token') {
    recordRefused(deps, handled, 'no initial access token')
    throw notAllowed('Registration needs an initial access token; ask the operator of this server', 'Bearer')
  }
  return false
}

/** Finds the client by its registration access token (RFC 7592 2). Unknown clients get the same error as a wrong token. */
async function requireManager(deps: OAuthDeps, handled: Handled, id: string): Promise<ClientRow> {
  const token = bearerToken(handled.request)
  const client = token !== undefined && isIssuedId(id) ? await lookUpClient(deps, id) : undefined
  if (client?.registration_token_hash && sameBytes(hashSecret(token!), client.registration_token_hash)) return client
  recordRefused(deps, handled, 'wrong registration access token', client?.id)
  throw notAllowed('The registration access token is not valid for this client', 'Bearer error="invalid_token"')
}

function recordRefused(deps: OAuthDeps, { request, server }: Handled, reason: string, clientId?: string): void {
  const who = { clientId: clientId ?? null, ip: clientAddress(deps, request, server) }
  recordRepeatable(deps, 'registration.refused', { ...who, detail: { reason } }, reason)
}

function notAllowed(description: string, challenge: string): OAuthError {
  return new OAuthError('invalid_token', description, { status: 401, headers: { 'WWW-Authenticate': challenge } })
}

/** Installations with identical registrations share one client, which none of them may change. */
function requireUnshared(client: ClientRow | undefined): ClientRow {
  if (client && !client.shared) return client
  throw new OAuthError(
    'access_denied',
    'Other installations share this registration, so it cannot be changed; register a new client',
    { status: 403 },
  )
}

/** RFC 7591 3.2.1: what was registered, which may be less than what was requested. */
function clientInformation(
  deps: OAuthDeps,
  client: ClientRow,
  issued: { secret?: string | undefined; managementToken?: string | undefined } = {},
) {
  return {
    client_id: client.id,
    client_id_issued_at: Math.floor(client.created_at.getTime() / 1000),
    ...(issued.secret ? { client_secret: issued.secret, client_secret_expires_at: 0 } : {}),
    ...(issued.managementToken ? { registration_access_token: issued.managementToken } : {}),
    ...(issued.managementToken ? { registration_client_uri: `${deps.config.BASE_URL}${PATH}/${client.id}` } : {}),
    client_name: client.name,
    redirect_uris: client.redirect_uris,
    grant_types: client.grant_types,
    response_types: client.grant_types.includes('authorization_code') ? ['code'] : [],
    token_endpoint_auth_method: client.auth_method,
    scope: requestableScope(deps.scopes, client).join(' '),
    ...(client.jwks ? { jwks: client.jwks } : {}),
    ...(client.jwks_uri ? { jwks_uri: client.jwks_uri } : {}),
    ...client.details,
  }
}
