/** The authorization server of an MCP server, by its metadata (RFC 8414, or OpenID Connect Discovery). */
import { z } from 'zod'
import { isLoopbackHost } from '../lib/networks.ts'
import { printableText } from '../lib/text.ts'
import { type Check, failed, ok, warning } from './checks.ts'
import type { Answer, Ask } from './doctor-web.ts'

/** The origin of another web page, to see whether browsers may read the metadata. */
const ORIGIN = 'https://inspector.example'

type Metadata = Record<string, unknown>
const metadataSchema = z.looseObject({ issuer: z.unknown() })

export async function* checkIssuer(issuer: string, ask: Ask): AsyncGenerator<Check> {
  const found = await findMetadata(issuer, ask)
  if ('problem' in found) {
    yield failed('issuer', found.problem, 'Clients read its metadata there (RFC 8414).')
    return
  }
  const { metadata, headers } = found
  yield checkName(issuer, metadata)
  yield* checkEndpoints(metadata)
  yield checkChallengeMethods(metadata)
  if (typeof metadata.device_authorization_endpoint === 'string')
    yield ok('device grant', printableText(metadata.device_authorization_endpoint, 200))
  else yield warning('device grant', 'none', 'Clients without a browser on the same machine cannot sign in (RFC 8628).')
  yield checkRegistration(metadata)
  if (headers.get('access-control-allow-origin') === null)
    yield warning(
      'CORS',
      'pages of other origins cannot read the metadata',
      'Clients in a browser cannot sign in; does a proxy strip the headers?',
    )
  else yield ok('CORS', 'metadata can be read by pages of other origins')
}

/** In the order of the MCP specification: RFC 8414, OpenID with the path inserted, OpenID with the path in front. */
async function findMetadata(
  issuer: string,
  ask: Ask,
): Promise<{ metadata: Metadata; headers: Headers } | { problem: string }> {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  const places = [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}/.well-known/openid-configuration${path}`,
    ...(path === '' ? [] : [`${origin}${path}/.well-known/openid-configuration`]),
  ]
  let first: string | undefined
  for (const place of places) {
    const answer = await ask(place, { Origin: ORIGIN })
    const metadata = metadataOf(answer)
    if (metadata) return { metadata, headers: (answer as Answer).headers }
    first ??= 'problem' in answer ? answer.problem : `${printableText(place, 200)} answers with ${answer.status}`
    if ('problem' in answer) break
  }
  return { problem: first! }
}

function metadataOf(answer: Awaited<ReturnType<Ask>>): Metadata | undefined {
  if ('problem' in answer || answer.status !== 200) return undefined
  return metadataSchema.safeParse(answer.body).data
}

function checkName(issuer: string, { issuer: named }: Metadata): Check {
  if (named === issuer) return ok('issuer', printableText(issuer, 200))
  return failed(
    'issuer',
    `the metadata of ${printableText(issuer, 200)} is of ${printableText(String(named), 200)}`,
    'They must be equal, character by character (RFC 8414 3.3): set BASE_URL.',
  )
}

function* checkEndpoints(metadata: Metadata): Generator<Check> {
  const clear = Object.entries(metadata).filter(
    ([name, value]) => name.endsWith('_endpoint') && typeof value === 'string' && isClear(value),
  )
  if (clear.length > 0)
    yield failed(
      'endpoints',
      `${clear.map(([name]) => printableText(name, 60)).join(', ')} are plain http`,
      'Set BASE_URL to the https address.',
    )
}

function checkChallengeMethods({ code_challenge_methods_supported: methods }: Metadata): Check {
  if (Array.isArray(methods) && methods.includes('S256')) return ok('PKCE', 'S256')
  return failed(
    'PKCE',
    'code_challenge_methods_supported lacks S256',
    'MCP clients refuse a server that does not say so.',
  )
}

function checkRegistration(metadata: Metadata): Check {
  if (typeof metadata.registration_endpoint === 'string') return ok('new clients', 'can register')
  if (metadata.client_id_metadata_document_supported === true) return ok('new clients', 'with a metadata document')
  return warning(
    'new clients',
    'can neither register nor bring a metadata document',
    'Add each at the authorization server; here with: mcp-oauth-server client add',
  )
}

function isClear(address: string): boolean {
  const url = URL.parse(address)
  return url?.protocol === 'http:' && !isLoopbackHost(url.hostname)
}
