/** Which redirect URIs a client may register (RFC 9700 2.1, RFC 8252 7). */

/** Private-use schemes of well-known apps that are not in the reverse-domain form of RFC 8252 7.1. */
const KNOWN_SCHEMES: ReadonlySet<string> = new Set([
  'claude:',
  'cursor:',
  'vscode:',
  'vscode-insiders:',
  'vscodium:',
  'windsurf:',
  'zed:',
  'warp:',
  'goose:',
  'raycast:',
  'lmstudio:',
  'jetbrains:',
  'trae:',
  'kiro:',
])
/** Parameters of the authorization response (RFC 6749 4.1.2, RFC 9207 2). */
const ANSWER_PARAMETERS = ['code', 'state', 'iss', 'error']

/** Whether a redirect URI equals the registered one: compared as text, ignoring the port on loopback (RFC 8252 7.3). */
export function matchesRedirectUri(registered: string, asked: string): boolean {
  if (registered === asked) return true
  const portless = withoutLoopbackPort(registered)
  return portless !== undefined && portless === withoutLoopbackPort(asked)
}

/** Exactly these spellings of loopback. */
const LOOPBACK = /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?([/?].*)?$/

/** A loopback URI without its port, which the client chooses each time. @returns undefined for any other URI. */
export function withoutLoopbackPort(uri: string): string | undefined {
  const parts = LOOPBACK.exec(uri)
  return parts && URL.canParse(uri) ? `${parts[1]}${parts[2] ?? ''}` : undefined
}

/**
 * Why a redirect URI cannot be registered, for the client's developer; undefined if it can.
 *
 * @param privateSchemes Whether schemes such as `cursor:` are allowed, as for public clients.
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
  // A host that browsers and CSP read in the same way.
  if (/^https?:/.test(url.protocol) && !/^https?:\/\/[A-Za-z0-9._:[\]-]+([/?]|$)/i.test(uri))
    return 'A redirect URI must have a plain host after //'
  if (ANSWER_PARAMETERS.some(name => url.searchParams.has(name)))
    return `A redirect URI must not have the query parameters ${ANSWER_PARAMETERS.join(', ')}, which are reserved for the response`
  if (url.protocol === 'https:') return undefined
  if (url.protocol === 'http:') {
    return LOOPBACK.test(uri)
      ? undefined
      : 'A redirect URI may use http only with exactly localhost, 127.0.0.1 or [::1]; otherwise use https'
  }
  if (!isPrivateUseScheme(url.protocol))
    return 'A redirect URI must use https, http on loopback, or a scheme in reverse-domain form such as com.example.app:'
  return privateSchemes ? undefined : 'A redirect URI with a private scheme is only for public clients'
}

/** A scheme in reverse-domain form (RFC 8252 7.1) or of a known app. Other schemes may start arbitrary programs. */
export function isPrivateUseScheme(protocol: string): boolean {
  return KNOWN_SCHEMES.has(protocol) || /^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:$/.test(protocol)
}
