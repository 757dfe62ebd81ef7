/**
 * Personal access tokens: bearer tokens that people make for scripts, accepted at the MCP endpoints and nowhere else. Only
 * their hash is stored. Each is a connection of its own, without a client.
 */
import { randomUUID } from 'node:crypto'
import { crc32 } from 'node:zlib'
import {
  deletePersonalTokens,
  findPersonalToken,
  insertPersonalToken,
  type PersonalTokenRow,
  listAllPersonalTokens as queryAllTokens,
  listPersonalTokens as queryTokens,
  type UserPersonalToken,
} from '../../sql/personal-tokens.ts'
import { record, recordRepeatable } from '../audit/events.ts'
import { hashSecret, newSecret, SECRET_KINDS } from '../lib/crypto.ts'
import { AppError, OAuthError } from '../lib/errors.ts'
import { networkOf } from '../lib/networks.ts'
import { printableText } from '../lib/text.ts'
import { countHit, LIMITS, requireUnlimited } from '../limits.ts'
import type { OAuthDeps } from './deps.ts'
import { type PersonalPrincipal, remember, rememberPersonalToken, rememberUntil } from './memory.ts'
import { PERSONAL_TOKEN, type Principal } from './principal.ts'
import { asOfNow, invalidToken } from './tokens.ts'

const DAY_MS = 86_400_000
/** Default lifetime of a token, and the longest. */
export const PERSONAL_TOKEN_DAYS = 90
export const MAX_PERSONAL_TOKEN_DAYS = 5 * 365
/** Valid tokens of one user. */
const PER_USER = 100
const MAX_NAME = 100
/** How long a replica uses what it has read of a token; less than revocations are remembered. */
const KNOWN_MS = 3_600_000
const PAGE = 200

/** `mpt_`, 256 random bits, and a checksum with which scanners recognise leaked tokens without asking us. */
const FORM = new RegExp(`^${SECRET_KINDS.personalToken}_[A-Za-z0-9_-]{49}$`)
const SECRET_LENGTH = 47

/** Six characters: CRC-32 of what precedes it, in base64url. */
function checksum(secret: string): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(secret))
  return bytes.toString('base64url')
}

/** Whether a bearer token claims to be a personal access token. */
export function isPersonalToken(token: string): boolean {
  return token.startsWith(`${SECRET_KINDS.personalToken}_`)
}

function isWellFormed(token: string): boolean {
  return FORM.test(token) && token.slice(SECRET_LENGTH) === checksum(token.slice(0, SECRET_LENGTH))
}

export interface NewPersonalToken {
  user: { id: string; isAdmin: boolean }
  name: string
  scope: readonly string[]
  /** The URL of one of our MCP endpoints; default: the hub. */
  resource?: string | undefined
  /** Whole days, at most {@link MAX_PERSONAL_TOKEN_DAYS}; a fraction is allowed. */
  days?: number
  by: 'user' | 'operator'
}

/** The scopes that a user can give to a token. */
export function personalTokenScopes({ scopes }: OAuthDeps, { isAdmin }: { isAdmin: boolean }): string[] {
  return scopes.names.filter(name => name !== 'offline_access' && (isAdmin || name !== 'admin'))
}

/**
 * Makes a token for a user. It is returned only here.
 *
 * @throws AppError that says what is wrong with the input, or that the user cannot have another token.
 */
export async function addPersonalToken(
  deps: OAuthDeps,
  { user, name: asked, scope, resource: url, days = PERSONAL_TOKEN_DAYS, by }: NewPersonalToken,
): Promise<{ id: string; name: string; token: string; resource: string; expiresAt: Date }> {
  if (!deps.config.PERSONAL_TOKENS)
    throw new AppError('Personal access tokens are off', 'This server is configured with PERSONAL_TOKENS=false.', {
      status: 403,
    })
  const name = printableText(asked, MAX_NAME + 1)
  if (name === '' || name.length > MAX_NAME)
    throw new AppError('The name cannot be used', `Enter a name of 1 to ${MAX_NAME} characters.`)
  const grantable = personalTokenScopes(deps, user)
  const wrong = scope.filter(one => !grantable.includes(one))
  if (scope.length === 0 || wrong.length > 0) {
    const title = scope.length === 0 ? 'A token needs a scope' : `This token cannot have the scope ${wrong.join(' ')}`
    throw new AppError(title, `Use ${grantable.join(', ')}.`)
  }
  if (!(days > 0 && days <= MAX_PERSONAL_TOKEN_DAYS))
    throw new AppError('The lifetime cannot be used', `Enter at most ${MAX_PERSONAL_TOKEN_DAYS} days.`)
  const now = deps.now()
  const expiresAt = new Date(now.getTime() + days * DAY_MS)
  const resource = endpointOf(deps, url)
  const secret = newSecret('personalToken')
  const token = secret + checksum(secret)
  const id = randomUUID()
  const row = {
    id,
    tokenHash: hashSecret(token),
    userId: user.id,
    name,
    scope: [...new Set(scope)],
    resource,
    now,
    expiresAt,
  }
  if (!(await insertPersonalToken(deps.sql, row, PER_USER)))
    throw new AppError(
      'No more tokens can be made',
      `A user may have ${PER_USER}, and none while disabled. Revoke one first.`,
    )
  record(deps, 'personal_token.added', {
    userId: user.id,
    grantId: id,
    detail: { name, scope: row.scope.join(' '), resource, expires: expiresAt.toISOString(), by },
  })
  return { id, name, token, resource, expiresAt }
}

/** Nobody else can check such a token, so it is for our own endpoints only. */
function endpointOf({ resources }: OAuthDeps, url: string | undefined): string {
  let found: string | undefined
  try {
    found = resources.find(url).url
  } catch (error) {
    if (!(error instanceof OAuthError)) throw error
  }
  const endpoint = found && URL.canParse(found) ? resources.at(new URL(found).pathname) : undefined
  if (endpoint && endpoint.url === found) return found
  throw new AppError('There is no such MCP endpoint here', `Use ${resources.hub.url}, or that of a server behind it.`)
}

/** A user's tokens, newest first; expired ones for 30 days more. */
export function listPersonalTokens({ sql }: OAuthDeps, userId: string): Promise<PersonalTokenRow[]> {
  return queryTokens(sql, userId)
}

/** All tokens, or those of one user, grouped by user, read in pages. */
export async function* listAllPersonalTokens({ sql }: OAuthDeps, email?: string): AsyncGenerator<UserPersonalToken> {
  let after: UserPersonalToken | undefined
  for (;;) {
    const page = await queryAllTokens(sql, { email, after, limit: PAGE })
    yield* page
    after = page.at(-1)
    if (page.length < PAGE) return
  }
}

/**
 * Revokes a token: it is refused on every replica within a second, and its streams end.
 *
 * @param revoke `userId` restricts it to that user's tokens.
 * @returns whether there was one.
 */
export async function revokePersonalToken(
  deps: OAuthDeps,
  { id, by, ...owner }: { id: string; userId?: string; by: 'user' | 'operator' },
): Promise<boolean> {
  const revoke = { ids: [id], ...owner, now: deps.now(), rememberUntil: rememberUntil(deps) }
  const [ended] = await deletePersonalTokens(deps.sql, revoke)
  if (!ended) return false
  remember(deps, `grant:${ended.id}`)
  record(deps, 'personal_token.revoked', { userId: ended.user_id, grantId: ended.id, detail: { name: ended.name, by } })
  return true
}

/**
 * Checks a token at an MCP endpoint, without a database round trip once it is known.
 *
 * @throws OAuthError `invalid_token`; `slow_down` if its network has sent too many unknown ones.
 */
export async function verifyPersonalToken(deps: OAuthDeps, token: string, ip: string | null): Promise<Principal> {
  if (!deps.config.PERSONAL_TOKENS) throw invalidToken('personal access tokens are off')
  const now = deps.now().getTime()
  return asOfNow(deps, await lookUp(deps, token, ip, now))
}

async function lookUp(deps: OAuthDeps, token: string, ip: string | null, now: number): Promise<PersonalPrincipal> {
  const hashed = hashSecret(token)
  const hash = hashed.toString('base64')
  const { known, unknown } = deps.memory.personalTokens
  const cached = known.get(hash)
  if (cached && cached.until > now) return cached.principal
  if (unknown.has(hash)) throw invalidToken('unknown')
  if (!isWellFormed(token)) throw invalidToken('malformed')
  const network = networkOf(ip)
  requireUnlimited(deps.limits, deps.now(), LIMITS.tokenGuesses, network)
  const row = await findPersonalToken(deps.sql, hashed)
  known.delete(hash)
  const principal = row && principalOf(row)
  rememberPersonalToken(deps.memory, hash, principal, now + KNOWN_MS)
  if (principal) return principal
  countHit(deps.limits, deps.now(), LIMITS.tokenGuesses, network)
  recordRepeatable(deps, 'personal_token.refused', { ip })
  throw invalidToken('unknown')
}

function principalOf(row: PersonalTokenRow): PersonalPrincipal {
  return {
    clientId: PERSONAL_TOKEN,
    userId: row.user_id,
    grantId: row.id,
    tokenId: row.id,
    keyId: null,
    scope: row.scope,
    audience: row.resource,
    issuedAt: Math.floor(row.created_at.getTime() / 1000),
    expiresAt: Math.floor(row.expires_at.getTime() / 1000),
  }
}
