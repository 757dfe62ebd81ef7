/** Scopes (RFC 6749 3.3): the built-in ones and those that the configuration of upstream servers names. */
import { OAuthError } from '../lib/errors.ts'

/** Every built-in scope, with what it lets a client do, in words for the person who is asked. */
const BUILT_IN: Readonly<Record<string, string>> = {
  'mcp:tools:read': 'See which tools you can use',
  'mcp:tools:call': 'Use those tools as you',
  'mcp:resources:read': 'Read the resources that you can read',
  'mcp:prompts:read': 'Read the prompts that you can use',
  mcp: 'Use everything that you can use through MCP: tools, resources and prompts',
  offline_access: 'Stay connected while you are away',
  admin: 'Administer this server: users, clients and the audit log',
}

/** What a 401 asks for: enough to list and to call tools. */
export const DEFAULT_SCOPE: readonly string[] = ['mcp:tools:read', 'mcp:tools:call']

/** Scopes of OpenID Connect Core 5.4 and 11, which clients of any server ask for by habit. */
const OPENID: ReadonlySet<string> = new Set(['openid', 'profile', 'email', 'address', 'phone', 'offline_access'])

/** Scopes that only a client added by the operator may ask for. */
const OPERATOR_ONLY: ReadonlySet<string> = new Set(['admin'])

/** The scopes that this server knows now. */
export interface Scopes {
  readonly names: readonly string[]
  /** What any registered client may ask of a user. */
  readonly forUsers: readonly string[]
  has(name: string): boolean
  /** What it lets a client do, in words for a person. */
  text(name: string): string
  /** Replaces the scopes that are not built in. @param more Text by name. */
  extend(more: Readonly<Record<string, string>>): void
}

export function openScopes(): Scopes {
  let texts = new Map(Object.entries(BUILT_IN))
  return {
    get names() {
      return [...texts.keys()]
    },
    get forUsers() {
      return [...texts.keys()].filter(name => !OPERATOR_ONLY.has(name))
    },
    has: name => texts.has(name),
    text: name => texts.get(name) ?? name,
    extend(more) {
      texts = new Map([...Object.entries(more), ...Object.entries(BUILT_IN)])
    },
  }
}

/** Whether granted scopes cover a needed one; `mcp` implies every `mcp:` scope. */
export function allows(granted: readonly string[], needed: string): boolean {
  return granted.includes(needed) || (needed.startsWith('mcp:') && granted.includes('mcp'))
}

/** The scopes of a request (RFC 6749 3.3), each once. */
export function parseScope(requested: string): string[] {
  return [...new Set(requested.split(' ').filter(Boolean))]
}

/**
 * What of the requested scope a client may have: unknown scopes and those beyond the client are dropped.
 *
 * @param requested Space-separated scopes, or nothing for the default; scopes of OpenID Connect alone ask for the default, too.
 * @throws OAuthError `invalid_scope` if nothing is left.
 */
export function narrowScope(scopes: Scopes, requested: string | undefined, allowed: readonly string[]): string[] {
  const asked = parseScope(requested ?? '')
  const takesDefault = requested === undefined || (asked.length > 0 && asked.every(scope => OPENID.has(scope)))
  const wanted = takesDefault ? [...DEFAULT_SCOPE, ...asked] : asked
  const granted = wanted.filter(scope => scopes.has(scope) && allows(allowed, scope))
  const useful = granted.filter(scope => scope !== 'offline_access')
  if (useful.length > 0) return granted
  // A client whose own scopes leave nothing of the default gets what it has.
  if (takesDefault && allowed.length > 0) return [...allowed]
  throw new OAuthError(
    'invalid_scope',
    `None of the requested scopes can be granted; known scopes are: ${scopes.names.join(' ')}`,
  )
}
