/** Which redirect URIs a client may register (RFC 9700 2.1, RFC 8252 7). */
import { isLoopbackHost } from '../../lib/networks.ts'

const FORBIDDEN_SCHEMES = new Set([
  'javascript:',
  'data:',
  'vbscript:',
  'file:',
  'blob:',
  'about:',
  'filesystem:',
  'view-source:',
  'ws:',
  'wss:',
  'ftp:',
  'mailto:',
  'tel:',
])
/** RFC 6749 4.1.2, RFC 9207 2: once each in an answer. */
const ANSWER_PARAMETERS = ['code', 'state', 'iss', 'error']

/** Whether a redirect URI is the registered one: as raw text, but for the port on loopback (RFC 8252 7.3). */
export function matchesRedirectUri(registered: string, asked: string): boolean {
  if (registered === asked) return true
  const portless = withoutLoopbackPort(registered)
  return portless !== undefined && portless === withoutLoopbackPort(asked)
}

function withoutLoopbackPort(uri: string): string | undefined {
  const parts = /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?([/?].*)?$/.exec(uri)
  return parts && URL.canParse(uri) ? `${parts[1]}${parts[2] ?? ''}` : undefined
}

/**
 * What is wrong with a redirect URI, in words for the client's developer; nothing if it may be registered.
 *
 * @param privateSchemes whether `cursor://…` and the like are allowed, as they are for public clients.
 */
export function redirectUriProblem(uri: unknown, privateSchemes: boolean): string | undefined {
  if (typeof uri !== 'string' || uri.length > 2000) return 'A redirect URI must be a string of at most 2000 characters'
  if (!/^[\x21-\x7e]+$/.test(uri) || /[\\<>"^`{|}]/.test(uri))
    return 'A redirect URI must be an absolute URI in ASCII, percent-encoded where needed'
  const url = URL.parse(uri)
  if (!url) return 'A redirect URI must be an absolute URI'
  if (uri.includes('#')) return 'A redirect URI must not have a fragment'
  if (url.username || url.password) return 'A redirect URI must not have a user name or password'
  if (uri.includes('*')) return 'A redirect URI must not have a wildcard'
  if (FORBIDDEN_SCHEMES.has(url.protocol)) return 'A redirect URI must not use that scheme'
  // As browsers read it from a Location header, and without what has a meaning of its own in a policy's grammar.
  if (/^https?:/.test(url.protocol) && !/^https?:\/\/[A-Za-z0-9._:[\]-]+([/?]|$)/i.test(uri))
    return 'A redirect URI must have a plain host after //'
  if (ANSWER_PARAMETERS.some(name => url.searchParams.has(name)))
    return `A redirect URI must not have the query parameters ${ANSWER_PARAMETERS.join(', ')}: they are the answer's`
  if (url.protocol === 'https:') return undefined
  if (url.protocol === 'http:') {
    return isLoopbackHost(url.hostname)
      ? undefined
      : 'A redirect URI may use http only with localhost, 127.0.0.1 or [::1]; use https'
  }
  return privateSchemes ? undefined : 'A redirect URI with a private scheme is only for public clients'
}
