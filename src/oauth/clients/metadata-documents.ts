/**
 * Client id metadata documents (draft-ietf-oauth-client-id-metadata-document-00): a client id that is an https URL is the
 * address of a document about the client, which proves the host that the client belongs to.
 */

import { z } from 'zod'
import { type ClientRow, upsertMetadataClient } from '../../../sql/clients.ts'
import { OAuthError } from '../../lib/errors.ts'
import { SafeFetchError, safeFetchJson } from '../../lib/safe-fetch.ts'
import { takeFetch } from '../../limits.ts'
import type { OAuthDeps } from '../deps.ts'
import { DEVICE_CODE_GRANT } from '../grants/types.ts'
import { lookUpClient, rememberClient } from '../memory.ts'
import { keyMaterial } from './assertions.ts'
import { clientDetails, displayName } from './names.ts'
import { redirectUriProblem } from './redirect-uris.ts'

const TIMEOUT_MS = 5_000
const MAX_BYTES = 64 * 1024
/** Bounds for the cache lifetime that Cache-Control sets, and its default; seconds. */
const MIN_AGE = 60
const MAX_AGE = 24 * 3600
const DEFAULT_AGE = 3600
/** How long the last good copy is used after a failed fetch, before the next attempt; seconds. */
const RETRY_AGE = 60

const GRANTS: readonly string[] = ['authorization_code', 'refresh_token', DEVICE_CODE_GRANT]

/** Whether a client id is the URL of a document: https, with a path, in canonical form. */
export function isMetadataUrl(clientId: string): boolean {
  if (clientId.length > 500 || !clientId.startsWith('https://') || /[#?]/.test(clientId)) return false
  const url = URL.parse(clientId)
  return (
    !!url &&
    url.href === clientId &&
    /^[a-z0-9._:-]+$/.test(url.host) && // shown in errors
    url.pathname !== '/' &&
    !url.username &&
    !url.password
  )
}

const documentSchema = z.object({
  client_id: z.string(),
  client_name: z.string().optional(),
  redirect_uris: z.array(z.unknown()).default([]),
  grant_types: z.array(z.unknown()).optional(),
  token_endpoint_auth_method: z.string().default('none'),
  token_endpoint_auth_methods_supported: z.array(z.unknown()).optional(),
  jwks: z.unknown().optional(),
  jwks_uri: z.string().optional(),
  client_secret: z.unknown().optional(),
  client_secret_expires_at: z.unknown().optional(),
  client_uri: z.string().max(2000).optional().catch(undefined),
  software_id: z.string().max(200).optional().catch(undefined),
  software_version: z.string().max(200).optional().catch(undefined),
})

/**
 * Resolves a client from its document: the stored copy while it is fresh, else a new one, else the last good one.
 *
 * @param ip The address of the requester, for rate limits.
 * @throws OAuthError `invalid_client` if there has never been a valid document, or documents are turned off. It names the
 *   host, the reason and the remedy, for the user who connects the app.
 */
export async function resolveMetadataClient(deps: OAuthDeps, url: string, ip: string | null): Promise<ClientRow> {
  if (new URL(url).origin === deps.config.BASE_URL)
    throw new OAuthError('invalid_client', 'A document on this server cannot be a client id')
  if (!deps.config.CLIENT_METADATA_DOCUMENTS) throw documentsAreOff(url)
  const { documents } = deps.memory
  const stored = await lookUpClient(deps, url)
  if (stored?.fresh_until && stored.fresh_until > deps.now()) return stored
  let fetching = documents.get(url)
  if (!fetching) {
    try {
      takeFetch(deps, url, ip)
    } catch (error) {
      if (stored) return stored // exhausting the limit must not lock out known clients
      throw error
    }
    fetching = refresh(deps, url, stored).finally(() => documents.delete(url))
    documents.set(url, fetching)
  }
  return fetching
}

async function refresh(deps: OAuthDeps, url: string, stored: ClientRow | undefined): Promise<ClientRow> {
  const client = await fetchClient(deps, url, stored)
  rememberClient(deps.memory, client)
  return client
}

async function fetchClient(deps: OAuthDeps, url: string, stored: ClientRow | undefined): Promise<ClientRow> {
  try {
    const { json, cacheControl } = await safeFetchJson(url, {
      outbound: deps.outbound,
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_BYTES,
    })
    return await upsertMetadataClient(deps.sql, {
      ...clientOfDocument(deps, url, json),
      createdAt: deps.now(),
      freshUntil: after(deps, maxAge(cacheControl)),
    })
  } catch (error) {
    if (!(error instanceof SafeFetchError)) throw error
    deps.log.info({ client: url, detail: error.detail }, 'could not use a client id metadata document')
    if (stored) return { ...stored, fresh_until: after(deps, RETRY_AGE) }
    throw noDocument(url, error)
  }
}

function noDocument(url: string, { reason, detail }: SafeFetchError): OAuthError {
  return new OAuthError(
    'invalid_client',
    `The app is described by a document at ${new URL(url).host}, and that document ${reason}. Try again later. If this server has no internet access, its operator can set CLIENT_METADATA_DOCUMENTS=false; apps then register instead, or get a client id from the operator`,
    { detail },
  )
}

/** Some apps keep using their document once they have seen it advertised. */
function documentsAreOff(url: string): OAuthError {
  return new OAuthError(
    'invalid_client',
    `The app is described by a document at ${new URL(url).host}, but this server does not fetch such documents (CLIENT_METADATA_DOCUMENTS=false). Remove this server from the app and add it again, so that the app registers, or give the app a client id from the operator`,
    { detail: 'client id metadata documents are turned off' },
  )
}

/** @throws SafeFetchError if it is not a valid document for the client at this URL. */
function clientOfDocument(deps: OAuthDeps, url: string, json: unknown) {
  const parsed = documentSchema.safeParse(withoutNulls(json))
  if (!parsed.success) throw new SafeFetchError('is not client metadata')
  const document = parsed.data
  if (document.client_id !== url) throw new SafeFetchError('names another client_id')
  // The document is public, so it cannot contain a secret (draft, "Client Metadata").
  if (document.client_secret !== undefined || document.client_secret_expires_at !== undefined)
    throw new SafeFetchError('has a client_secret')
  const asked = document.grant_types ?? GRANTS
  const redirectUris = document.redirect_uris
    .filter((uri): uri is string => redirectUriProblem(uri, true) === undefined)
    .slice(0, 20)
  const grantTypes = GRANTS.filter(
    grant => asked.includes(grant) && (grant !== 'authorization_code' || redirectUris.length > 0),
  )
  if (grantTypes.every(grant => grant === 'refresh_token'))
    throw new SafeFetchError('has no usable grant type and redirect URI')
  return {
    id: url,
    name: displayName(document.client_name),
    source: 'metadata' as const,
    ...authentication(document),
    grantTypes,
    redirectUris,
    scope: [...deps.scopes.forUsers],
    details: clientDetails(document),
  }
}

/** A client with a document can use keys or no authentication, but not a secret, since the document is public. */
function authentication(document: z.output<typeof documentSchema>) {
  const keys = keyMaterial(document.jwks, document.jwks_uri)
  if (document.token_endpoint_auth_method === 'private_key_jwt' && keys)
    return { authMethod: 'private_key_jwt' as const, ...keys }
  const allowed = [document.token_endpoint_auth_method, ...(document.token_endpoint_auth_methods_supported ?? [])]
  if (!allowed.includes('none')) throw new SafeFetchError('has no supported authentication method')
  return { authMethod: 'none' as const }
}

/** Null members count as absent. */
function withoutNulls(json: unknown): unknown {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return json
  return Object.fromEntries(Object.entries(json).filter(([, value]) => value !== null))
}

function maxAge(cacheControl: string): number {
  if (/\bno-(store|cache)\b/i.test(cacheControl)) return MIN_AGE
  const seconds = /\bmax-age=(\d{1,9})/i.exec(cacheControl)?.[1]
  return seconds === undefined ? DEFAULT_AGE : Math.min(Math.max(Number(seconds), MIN_AGE), MAX_AGE)
}

function after(deps: OAuthDeps, seconds: number): Date {
  return new Date(deps.now().getTime() + seconds * 1000)
}
