/** What a client meets on its way from an MCP server's address to a token: RFC 9728, RFC 8414, RFC 8628, CORS and TLS. */
import { connect } from 'node:tls'
import { request } from '../lib/device-grant.ts'
import { UsageError } from '../lib/errors.ts'
import { isLoopbackHost } from '../lib/networks.ts'
import { printableText } from '../lib/text.ts'
import { type Check, failed, ok, warning } from './checks.ts'

/** The address of another web page, to see whether browsers may call. */
const ORIGIN = 'https://inspector.example'
const SOON_DAYS = 14

/** @param url An MCP endpoint; for an origin alone, its `/mcp` if that is one. */
export async function* checkPublic(url: URL): AsyncGenerator<Check> {
  if (url.protocol === 'https:') yield await checkCertificate(url)
  else if (!isLoopbackHost(url.hostname))
    yield failed(
      'https',
      `${url.origin} is plain http`,
      'Put it behind a TLS proxy: tokens must not be sent in the clear.',
    )
  const challenged = await ask(url)
  if ('problem' in challenged) {
    yield failed('reachable', challenged.problem, reachAdvice(challenged.problem))
    return
  }
  yield ok('reachable', `${url.href} answers with ${challenged.status}`)
  const found = readChallenge(url, challenged)
  yield found.check
  const resource = await checkResource(url, found.metadataUrl)
  yield* resource.checks
  if (resource.issuer === undefined) return
  yield* checkServer(resource.issuer)
}

type Answer = { status: number; headers: Headers; body: unknown }

async function ask(url: URL | string, headers: Record<string, string> = {}): Promise<Answer | { problem: string }> {
  try {
    const answer = await request(url, {
      headers: { Accept: 'application/json, text/event-stream', ...headers },
      redirect: 'manual',
    })
    const isJson = /json/.test(answer.headers.get('content-type') ?? '')
    const body = isJson ? await answer.json().catch(() => undefined) : void (await answer.body?.cancel())
    return { status: answer.status, headers: answer.headers, body }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    return { problem: error.message }
  }
}

function reachAdvice(problem: string): string {
  if (/certificate|CERT|self.signed/i.test(problem))
    return 'The certificate is not valid for this name or has expired: renew it at the TLS proxy.'
  if (/ENOTFOUND|EAI_AGAIN|getaddrinfo|resolve/i.test(problem)) return 'The name has no address in DNS: add the record.'
  return 'Nothing answers there: is the server started, the port published, and BASE_URL its public address?'
}

/** Connects without checking, so that an expired certificate is named with its date. */
function checkCertificate({ hostname, port }: URL): Promise<Check> {
  const { promise, resolve } = Promise.withResolvers<Check>()
  const host = hostname.replace(/^\[|\]$/g, '')
  const socket = connect({ host, port: Number(port || 443), servername: host, rejectUnauthorized: false }, () => {
    const until = new Date(socket.getPeerCertificate().valid_to)
    const days = Math.floor((until.getTime() - Date.now()) / 86_400_000)
    const problem = socket.authorizationError
    socket.destroy()
    if (days < 0) resolve(failed('certificate', `expired on ${until.toISOString()}`, 'Renew it at the TLS proxy.'))
    else if (problem)
      resolve(failed('certificate', printableText(String(problem), 200), 'Use one that clients trust, for this name.'))
    else if (days < SOON_DAYS) resolve(warning('certificate', `expires in ${days} days`, 'Renew it at the TLS proxy.'))
    else resolve(ok('certificate', `valid until ${until.toISOString().slice(0, 10)}`))
  })
  socket.setTimeout(10_000, () => socket.destroy(new Error('no answer in 10 seconds')))
  socket.on('error', error =>
    resolve(failed('certificate', printableText(error.message, 200), 'Does anything listen there with TLS?')),
  )
  return promise
}

function readChallenge(url: URL, { status, headers }: Answer): { check: Check; metadataUrl: string | undefined } {
  const challenge = headers.get('www-authenticate') ?? ''
  const metadataUrl = /resource_metadata="([^"]*)"/.exec(challenge)?.[1]
  if (status >= 300 && status < 400)
    return {
      metadataUrl,
      check: failed(
        'challenge',
        `it redirects to ${printableText(headers.get('location') ?? '', 200)}`,
        'Clients do not follow it with a token: use the address that it leads to.',
      ),
    }
  if (status !== 401)
    return {
      metadataUrl,
      check: failed(
        'challenge',
        `${status} instead of 401`,
        `Is ${url.href} an MCP endpoint? A proxy in front may answer for it, or cut a path prefix.`,
      ),
    }
  if (metadataUrl === undefined)
    return {
      metadataUrl,
      check: warning(
        'challenge',
        '401 without resource_metadata',
        'Clients then guess where the metadata is (RFC 9728 5.1).',
      ),
    }
  return { metadataUrl, check: ok('challenge', `401 with ${printableText(metadataUrl, 200)}`) }
}

async function checkResource(url: URL, named: string | undefined): Promise<{ checks: Check[]; issuer?: string }> {
  const name = 'resource'
  const path = url.pathname === '/' ? '' : url.pathname
  const place = named && URL.canParse(named) ? named : `${url.origin}/.well-known/oauth-protected-resource${path}`
  const answer = await ask(place)
  const body = ('body' in answer ? answer.body : undefined) as
    | { resource?: unknown; authorization_servers?: unknown }
    | undefined
  if ('problem' in answer || answer.status !== 200 || typeof body?.resource !== 'string') {
    const found = 'problem' in answer ? answer.problem : `${printableText(place, 200)} answers with ${answer.status}`
    const fix =
      'Clients find the authorization server there (RFC 9728). If the address is wrong, set BASE_URL to the public address.'
    return { checks: [failed(name, found, fix)] }
  }
  const checks: Check[] = []
  if (withoutSlash(body.resource) !== withoutSlash(url.href))
    checks.push(
      failed(
        name,
        `it calls itself ${printableText(body.resource, 200)}`,
        `Clients want exactly ${url.href}: set BASE_URL to ${url.origin}, or give them the address that it names.`,
      ),
    )
  else checks.push(ok(name, body.resource))
  const [issuer] = Array.isArray(body.authorization_servers) ? body.authorization_servers : []
  if (typeof issuer === 'string' && URL.canParse(issuer)) return { checks, issuer }
  return {
    checks: [
      ...checks,
      failed('authorization server', 'the metadata names none', 'Add authorization_servers (RFC 9728 2).'),
    ],
  }
}

async function* checkServer(issuer: string): AsyncGenerator<Check> {
  const { origin, pathname } = new URL(issuer)
  const path = pathname === '/' ? '' : pathname
  const place = `${origin}/.well-known/oauth-authorization-server${path}`
  const answer = await ask(place, { Origin: ORIGIN })
  const metadata = ('body' in answer ? answer.body : undefined) as Record<string, unknown> | undefined
  if ('problem' in answer || answer.status !== 200 || typeof metadata !== 'object' || metadata === null) {
    const found = 'problem' in answer ? answer.problem : `${printableText(place, 200)} answers with ${answer.status}`
    yield failed('issuer', found, 'Clients read its metadata there (RFC 8414).')
    return
  }
  if (metadata.issuer !== issuer)
    yield failed(
      'issuer',
      `the metadata of ${printableText(issuer, 200)} is of ${printableText(String(metadata.issuer), 200)}`,
      'They must be equal, character by character (RFC 8414 3.3): set BASE_URL.',
    )
  else yield ok('issuer', issuer)
  const clear = Object.entries(metadata).filter(
    ([name, value]) => name.endsWith('_endpoint') && typeof value === 'string' && isClear(value),
  )
  if (clear.length > 0)
    yield failed(
      'endpoints',
      `${clear.map(([name]) => name).join(', ')} are plain http`,
      'Set BASE_URL to the https address.',
    )
  const methods = metadata.code_challenge_methods_supported
  if (!Array.isArray(methods) || !methods.includes('S256'))
    yield failed(
      'PKCE',
      'code_challenge_methods_supported lacks S256',
      'MCP clients refuse a server that does not say so.',
    )
  else yield ok('PKCE', 'S256')
  if (typeof metadata.device_authorization_endpoint === 'string')
    yield ok('device grant', metadata.device_authorization_endpoint)
  else yield warning('device grant', 'none', 'Clients without a browser on the same machine cannot sign in (RFC 8628).')
  const isOpen =
    typeof metadata.registration_endpoint === 'string' || metadata.client_id_metadata_document_supported === true
  if (isOpen) yield ok('new clients', metadata.registration_endpoint ? 'can register' : 'with a metadata document')
  else
    yield warning(
      'new clients',
      'can neither register nor bring a metadata document',
      'Add each with: mcp-oauth-server client add',
    )
  if (answer.headers.get('access-control-allow-origin') === null)
    yield warning(
      'CORS',
      'pages of other origins cannot read the metadata',
      'Clients in a browser cannot sign in; does a proxy strip the headers?',
    )
  else yield ok('CORS', 'metadata can be read by pages of other origins')
}

function isClear(address: string): boolean {
  const url = URL.parse(address)
  return url?.protocol === 'http:' && !isLoopbackHost(url.hostname)
}

function withoutSlash(address: string): string {
  return address.replace(/\/$/, '')
}
