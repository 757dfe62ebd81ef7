/** Scopes (RFC 6749 3.3): built-in ones, and those in the configuration of upstream servers. */
import { OAuthError } from '../lib/errors.ts'

/** The built-in scopes, each with its text for the consent page. */
const BUILT_IN: Readonly<Record<string, string>> = {
  'mcp:tools:read': 'See which tools you can use',
  'mcp:tools:call': 'Use tools as you',
  'mcp:resources:read': 'Read the resources that you have access to',
  'mcp:prompts:read': 'Read the prompts that you have access to',
  mcp: 'Use all tools, resources and prompts that you have access to',
  'connections:manage': 'Disconnect other apps that are connected as you',
  offline_access: 'Stay connected while you are away',
  admin: 'Search the audit log of this server, as an administrator',
}

/** The default scope, also named in a 401: enough to list and call tools. */
export const DEFAULT_SCOPE: readonly string[] = ['mcp:tools:read', 'mcp:tools:call']

/** Scopes of OpenID Connect Core 5.4 and 11, which many clients request from any server. */
const OPENID: ReadonlySet<string> = new Set(['openid', 'profile', 'email', 'address', 'phone', 'offline_access'])

/** Scopes that only clients added by the operator may request. */
const OPERATOR_ONLY: ReadonlySet<string> = new Set(['admin'])

/** The scopes that this server currently knows. */
export interface Scopes {
  readonly names: readonly string[]
  /** The scopes that any registered client may request from a user. */
  readonly forUsers: readonly string[]
  has(name: string): boolean
  /** The text of a scope for the consent page. */
  text(name: string): string
  /** Replaces the scopes that are not built in. @param more Texts by name. */
  extend(more: Readonly<Record<string, string>>): void
}

export function openScopes(): Scopes {
  let texts: ReadonlyMap<string, string>
  let names: readonly string[]
  let forUsers: readonly string[]
  function set(all: Readonly<Record<string, string>>): void {
    texts = new Map(Object.entries(all))
    names = [...texts.keys()]
    forUsers = names.filter(name => !OPERATOR_ONLY.has(name))
  }
  set(BUILT_IN)
  return {
    get names() {
      return names
    },
    get forUsers() {
      return forUsers
    },
    has: name => texts.has(name),
    text: name => texts.get(name) ?? name,
    extend(more) {
      set({ ...more, ...BUILT_IN })
    },
  }
}

/**
 * The scopes that a client may request from a user. A client that registered itself may request everything that a user
 * can grant, including the scopes that upstream servers brought since.
 */
export function requestableScope(
  scopes: Scopes,
  client: { source: string; grant_types: readonly string[]; scope: readonly string[] },
): readonly string[] {
  const { source, grant_types, scope } = client
  const hasAll = () => scopes.forUsers.every(name => !(name in BUILT_IN) || scope.includes(name))
  const isForUsers = source === 'token' && !grant_types.includes('client_credentials') && hasAll()
  if (source !== 'dynamic' && source !== 'metadata' && !isForUsers) return scope
  return [...new Set([...scope, ...scopes.forUsers])]
}

/** Whether granted scopes cover a needed one; `mcp` implies every `mcp:` scope. */
export function allows(granted: readonly string[], needed: string): boolean {
  return granted.includes(needed) || (needed.startsWith('mcp:') && granted.includes('mcp'))
}

/** Parses a scope parameter (RFC 6749 3.3) and removes duplicates. */
export function parseScope(requested: string): string[] {
  return [...new Set(requested.split(' ').filter(Boolean))]
}

/** The scope without `admin`, for users who are not administrators. */
export function withoutAdmin(scope: readonly string[]): string[] {
  return scope.filter(name => name !== 'admin')
}

/**
 * Narrows the requested scope: unknown scopes and those that the client may not have are dropped.
 *
 * @param requested Space-separated scopes; undefined, or only OpenID Connect scopes, means the default.
 * @throws OAuthError `invalid_scope` if nothing is left.
 */
export function narrowScope(scopes: Scopes, requested: string | undefined, allowed: readonly string[]): string[] {
  const asked = parseScope(requested ?? '')
  const takesDefault = requested === undefined || (asked.length > 0 && asked.every(scope => OPENID.has(scope)))
  const wanted = takesDefault ? [...DEFAULT_SCOPE, ...asked] : asked
  const granted = wanted.filter(scope => scopes.has(scope) && allows(allowed, scope))
  const useful = granted.filter(scope => scope !== 'offline_access')
  if (useful.length > 0) return granted
  // A client that may have none of the default scopes gets its own.
  if (takesDefault && allowed.length > 0) return [...allowed]
  throw new OAuthError(
    'invalid_scope',
    `None of the requested scopes can be granted; known scopes are: ${scopes.names.join(' ')}`,
  )
}
