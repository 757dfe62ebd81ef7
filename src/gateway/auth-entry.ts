/** The field `auth` of an entry: whose account is used at an upstream with OAuth, and settings that discovery cannot find. */
import { z } from 'zod'
import { isLoopbackHost } from '../lib/networks.ts'
import { type Path, problem, type Report } from './config-source.ts'

export interface Auth {
  /**
   * `user`: each user's own account. `client`: the operator's, with client credentials (RFC 6749 4.4). `exchange`: for each
   * caller a token that the operator's client gets in exchange for one of ours (RFC 8693).
   */
  type: 'user' | 'client' | 'exchange'
  clientId?: string
  clientSecret?: string
  /** Default: the scopes that the upstream requires. */
  scopes?: string[]
  /** As its metadata writes it. Present if there is a secret, unless the token endpoint is. */
  issuer?: string
  authorizationEndpoint?: string
  tokenEndpoint?: string
  revocationEndpoint?: string
}

const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/
const written = z.string({ error: 'must be a string in quotes' }).min(1, { error: 'must not be empty' })
const scopes = z.array(written.regex(SCOPE, { error: 'must be one scope, without spaces or quotes' }), {
  error: 'must be a list of scopes, such as ["notes:read"]',
})

const settings = z.object({
  type: z.enum(['user', 'client', 'exchange'], { error: 'must be "user", "client" or "exchange"' }).default('user'),
  client_id: written.optional(),
  client_secret: written.optional(),
  scopes: scopes.optional(),
  issuer: written.optional(),
  authorization_endpoint: written.optional(),
  token_endpoint: written.optional(),
  revocation_endpoint: written.optional(),
})

const ERROR = 'must be "user" or an object such as {"client_id": "…", "client_secret": "${SECRET}"}'

export const authSchema = z.preprocess(
  value => (value === 'user' ? {} : value),
  z.object(settings.shape, { error: ERROR }),
)
export const AUTH_FIELDS: readonly string[] = Object.keys(settings.shape)

/** @param url The upstream's URL. @param expand Expands variables. */
export function readAuth(
  entry: z.output<typeof authSchema>,
  url: string,
  path: Path,
  report: Report,
  expand: (at: string[], text: string) => string,
): Auth {
  const field = (name: Exclude<keyof typeof entry, 'type' | 'scopes'>, check?: (text: string, at: Path) => void) => {
    const value = entry[name]
    if (value === undefined) return undefined
    const text = expand(['auth', name], value)
    check?.(text, [...path, 'auth', name])
    return text
  }
  const endpoint = (text: string, at: Path) => {
    if (!isProtected(text)) problem(report, at, 'must be an https URL; http only on this machine')
  }
  const auth: Auth = {
    type: entry.type,
    ...optional('clientId', field('client_id')),
    ...optional('clientSecret', field('client_secret')),
    ...optional('scopes', entry.scopes),
    ...optional('issuer', field('issuer', endpoint)),
    ...optional('authorizationEndpoint', field('authorization_endpoint', endpoint)),
    ...optional('tokenEndpoint', field('token_endpoint', endpoint)),
    ...optional('revocationEndpoint', field('revocation_endpoint', endpoint)),
  }
  const missing = missingFrom(auth)
  if (missing) problem(report, [...path, 'auth'], missing)
  if (!isProtected(url))
    problem(report, [...path, 'url'], 'must be https because tokens are sent there; http only on this machine')
  return auth
}

function missingFrom(auth: Auth): string | undefined {
  if (auth.type !== 'user' && !(auth.clientId && auth.clientSecret))
    return `needs "client_id" and "client_secret" for the type "${auth.type}"`
  if (auth.clientSecret && !auth.clientId) return 'has a "client_secret" without its "client_id"'
  // The upstream must not choose who gets it.
  if (auth.clientSecret && !auth.issuer && !auth.tokenEndpoint)
    return 'needs "issuer" with "client_secret": the authorization server that the secret is for'
  if (auth.authorizationEndpoint && !auth.tokenEndpoint)
    return 'has an "authorization_endpoint" without "token_endpoint"'
  if (auth.tokenEndpoint && !auth.clientId)
    return 'needs "client_id" with "token_endpoint", since registration requires metadata'
  if (auth.tokenEndpoint && auth.type === 'user' && !auth.authorizationEndpoint)
    return 'needs "authorization_endpoint" with "token_endpoint"'
  return undefined
}

/** Whether traffic to the URL is protected: https, or http to this machine. */
function isProtected(text: string): boolean {
  const url = URL.parse(text)
  if (!url || url.username || url.password) return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname))
}

const optional = <K extends string, V>(name: K, value: V | undefined) =>
  (value === undefined ? {} : { [name]: value }) as { [key in K]?: V }
