import { listIdentities } from '../../sql/users.ts'
import { eventsAbout } from '../audit/search.ts'
import type { Viewer } from '../http/session.ts'
import { listIdleConsents } from '../oauth/consents.ts'
import type { OAuthDeps } from '../oauth/deps.ts'
import { listPersonalTokens } from '../oauth/personal-tokens.ts'
import { listConnections } from '../oauth/tokens.ts'
import { listPasskeys } from '../signin/passkeys.ts'
import { sessionsOf } from '../signin/sessions.ts'

/** Of the connections in a file about their user, those used last, and of the remembered consents; enough for everybody but a program that connects again and again. */
const MOST = 10_000

/**
 * Everything that is stored about a user, without secrets and their hashes.
 *
 * @param linked Their accounts at upstream servers.
 */
export async function everythingAbout<Linked>(
  deps: OAuthDeps,
  { userId, email, name, isAdmin }: Pick<Viewer, 'userId' | 'email' | 'name' | 'isAdmin'>,
  linked: readonly Linked[],
) {
  const [identities, connections, remembered, tokens, passkeys, browsers, audit] = await Promise.all([
    listIdentities(deps.sql, userId),
    listConnections(deps, userId, { limit: MOST + 1 }),
    listIdleConsents(deps, userId, MOST + 1),
    listPersonalTokens(deps, userId),
    listPasskeys(deps, userId),
    sessionsOf(deps, userId),
    eventsAbout(deps, userId),
  ])
  return {
    user: { id: userId, email, name, is_admin: isAdmin },
    sign_in_accounts: identities,
    connections: connections.slice(0, MOST).map(({ of_client: _, ...connection }) => connection),
    connections_are_complete: connections.length <= MOST,
    allowed_but_not_connected: remembered.slice(0, MOST),
    allowed_but_not_connected_are_complete: remembered.length <= MOST,
    personal_access_tokens: tokens.map(({ id, name, scope, resource, created_at, expires_at, used_at }) => ({
      id,
      name,
      scope,
      resource,
      created_at,
      expires_at,
      used_at,
    })),
    passkeys: passkeys.map(({ id, name, transports, backed_up, created_at, used_at }) => ({
      id,
      name,
      transports,
      backed_up,
      created_at,
      used_at,
    })),
    browser_sessions: browsers.map(({ id_hash: _, ...browser }) => browser),
    linked_accounts: linked,
    audit_log: audit.events,
    audit_log_is_complete: audit.isComplete,
  }
}
