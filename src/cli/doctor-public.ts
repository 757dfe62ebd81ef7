/**
 * What a client meets on its way from an MCP server's address to a token: TLS, the challenge, protected resource metadata
 * (RFC 9728), the authorization server (`doctor-issuer`), and the proxies in between (`doctor-proxy`).
 */
import { z } from 'zod'
import { isLoopbackHost } from '../lib/networks.ts'
import { printableText } from '../lib/text.ts'
import { type Check, failed, ok, warning } from './checks.ts'
import { checkCertificate } from './doctor-certificate.ts'
import { checkIssuer } from './doctor-issuer.ts'
import { checkProxies } from './doctor-proxy.ts'
import { type Answer, type Ask, openAsk, trustingWeb } from './doctor-web.ts'

/** A little longer than a stream of this program is ever silent. */
const SILENCE_S = 16
const PING = { jsonrpc: '2.0', id: 1, method: 'ping' }
/** A tolerance that verifiers of tokens have, too. */
const MAX_SKEW_MS = 60_000

export interface PublicOptions {
  /** Seconds for which a stream is kept silent; by default not on this machine, where there is rarely a proxy. */
  silence?: number | undefined
  /** The certificate of a further CA, PEM. */
  ca?: string | undefined
}

/** @param url An MCP endpoint. */
export async function* checkPublic(url: URL, { silence, ca }: PublicOptions = {}): AsyncGenerator<Check> {
  const isLocal = isLoopbackHost(url.hostname)
  if (url.protocol === 'https:') yield await checkCertificate(url, ca)
  else if (!isLocal)
    yield failed(
      'https',
      `${url.origin} is plain http`,
      'Put it behind a TLS proxy: tokens must not be sent in the clear.',
    )
  const ask = openAsk(trustingWeb())
  const got = await ask(url)
  // An endpoint without streams need not answer GET (MCP 2025-11-25, Streamable HTTP).
  const challenged = 'status' in got && got.status === 405 ? await ask(url, {}, PING) : got
  if ('problem' in challenged) {
    yield failed('reachable', challenged.problem, reachAdvice(challenged.problem))
    return
  }
  yield ok('reachable', `${url.href} answers with ${challenged.status}`)
  yield* checkClock(challenged)
  const metadataUrl = /resource_metadata="([^"]*)"/.exec(challenged.headers.get('www-authenticate') ?? '')?.[1]
  yield await checkChallenge(url, challenged, metadataUrl, ask)
  const resource = await checkResource(url, metadataUrl, ask)
  yield* resource.checks
  if (resource.issuer !== undefined) yield* checkIssuer(resource.issuer, ask)
  yield* checkProxies(url.origin, silence ?? (isLocal ? 0 : SILENCE_S))
}

function reachAdvice(problem: string): string {
  if (/certificate|CERT|self.signed/i.test(problem))
    return 'The certificate is not valid for this name or has expired: renew it at the TLS proxy.'
  if (/ENOTFOUND|EAI_AGAIN|getaddrinfo|resolve/i.test(problem)) return 'The name has no address in DNS: add the record.'
  return 'Nothing answers there: is the server started, the port published, and BASE_URL its public address?'
}

/** Only differences that break something: the header has whole seconds, and the answer was on its way. */
function* checkClock({ headers }: Answer): Generator<Check> {
  const skew = Date.parse(headers.get('date') ?? '') - Date.now()
  if (Number.isNaN(skew)) return
  if (Math.abs(skew) <= MAX_SKEW_MS) return yield ok('clock', 'agrees with that of this machine')
  yield failed(
    'clock',
    `the server is ${Math.round(Math.abs(skew) / 1000)} s ${skew > 0 ? 'ahead of' : 'behind'} this machine`,
    'Run NTP on both: codes, tokens and certificates are valid for a time.',
  )
}

async function checkChallenge(
  url: URL,
  { status, headers }: Answer,
  metadataUrl: string | undefined,
  ask: Ask,
): Promise<Check> {
  const name = 'challenge'
  if (status >= 300 && status < 400)
    return failed(
      name,
      `it redirects to ${printableText(headers.get('location') ?? '', 200)}`,
      'Clients do not follow it with a token: use the address that it leads to.',
    )
  if (status !== 401) {
    const named = await resourceAt(`${url.origin}/.well-known/oauth-protected-resource`, ask)
    return failed(
      name,
      `${status} instead of 401${named ? `; the server names ${printableText(named, 200)}` : ''}`,
      `Is ${url.href} an MCP endpoint? A proxy in front may answer for it, or pass on a path prefix that the server does not have.`,
    )
  }
  if (metadataUrl === undefined)
    return warning(
      name,
      '401 without resource_metadata',
      'Clients then guess where the metadata is (RFC 9728 5.1). Does a proxy strip WWW-Authenticate?',
    )
  return ok(name, `401 with ${printableText(metadataUrl, 200)}`)
}

const resourceSchema = z.looseObject({
  resource: z.string(),
  authorization_servers: z.array(z.unknown()).optional().catch(undefined),
})

async function resourceAt(place: string, ask: Ask): Promise<string | undefined> {
  const answer = await ask(place)
  return 'problem' in answer ? undefined : resourceSchema.safeParse(answer.body).data?.resource
}

/** In the order of the MCP specification: where the challenge says, for the path of the endpoint, for the whole host. */
function placesOf({ origin, pathname }: URL, named: string | undefined): string[] {
  if (named !== undefined && URL.canParse(named)) return [named]
  const root = `${origin}/.well-known/oauth-protected-resource`
  return [...new Set([root + (pathname === '/' ? '' : pathname), root])]
}

/** @returns the issuer to go on with. */
async function checkResource(
  url: URL,
  named: string | undefined,
  ask: Ask,
): Promise<{ checks: Check[]; issuer?: string }> {
  const name = 'resource'
  const wrong: string[] = []
  for (const place of placesOf(url, named)) {
    const answer = await ask(place)
    const metadata =
      'problem' in answer || answer.status !== 200 ? undefined : resourceSchema.safeParse(answer.body).data
    if (metadata) return judgeResource(url, metadata)
    wrong.push('problem' in answer ? answer.problem : `${printableText(place, 200)} answers with ${answer.status}`)
  }
  const prefix = cutPrefix(url, named)
  if (prefix !== undefined) return { checks: [prefixFailure(prefix)] }
  if (named === undefined && (await hasMetadata(url.origin, ask)))
    return {
      checks: [
        warning(
          name,
          wrong.join('; '),
          'It is a server of MCP 2025-03-26: newer clients look for the authorization server there (RFC 9728).',
        ),
      ],
      issuer: url.origin,
    }
  const fix =
    'Clients find the authorization server there (RFC 9728). If the address is wrong, set BASE_URL to the public address.'
  return { checks: [failed(name, wrong.join('; '), fix)] }
}

async function hasMetadata(origin: string, ask: Ask): Promise<boolean> {
  const answer = await ask(`${origin}/.well-known/oauth-authorization-server`)
  return !('problem' in answer) && answer.status === 200
}

function judgeResource(
  url: URL,
  { resource, authorization_servers: servers }: z.output<typeof resourceSchema>,
): { checks: Check[]; issuer?: string } {
  const name = 'resource'
  const checks: Check[] = []
  const prefix = cutPrefix(url, resource)
  if (withoutSlash(resource) === withoutSlash(url.href)) checks.push(ok(name, printableText(resource, 200)))
  else if (prefix !== undefined) checks.push(prefixFailure(prefix))
  else
    checks.push(
      failed(
        name,
        `it calls itself ${printableText(resource, 200)}`,
        `Clients want exactly ${url.href}: set BASE_URL to ${url.origin}, or give them the address that it names.`,
      ),
    )
  const issuer = servers?.[0]
  if (typeof issuer === 'string' && URL.canParse(issuer)) return { checks, issuer }
  checks.push(failed('authorization server', 'the metadata names none', 'Add authorization_servers (RFC 9728 2).'))
  return { checks }
}

/** What a proxy has cut from the path, if the server names itself, or its metadata, at the same origin without it. */
function cutPrefix({ origin, pathname }: URL, named: string | undefined): string | undefined {
  const other = URL.parse(named ?? '')
  if (other?.origin !== origin) return undefined
  const path = other.pathname.replace('/.well-known/oauth-protected-resource', '')
  if (path.length < 2 || path === pathname || !pathname.endsWith(path)) return undefined
  return pathname.slice(0, -path.length)
}

const prefixFailure = (prefix: string) =>
  failed(
    'path prefix',
    `a proxy cuts ${prefix} off the path, and the server does not know of it`,
    'Give it a host name, or a port, of its own: metadata and cookies belong to a whole host.',
  )

function withoutSlash(address: string): string {
  return address.replace(/\/$/, '')
}
