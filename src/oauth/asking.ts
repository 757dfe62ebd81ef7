/** What the device page and the consent page say about an app that asks for access. */
import type { Asked, OpenedServer } from '../../views/permissions.tsx'
import type { Viewer } from '../http/session.ts'
import type { PageDeps } from '../http/shell.ts'
import { choicesOf } from './choice.ts'
import type { OAuthDeps } from './deps.ts'
import { allows } from './scopes.ts'
import { listConnections } from './tokens.ts'
import { lastUseOf } from './uses.ts'

/** Lists the tools of upstream servers that a token would open. @param endpoint Undefined: those of the hub. */
export type OpenedBy = (
  endpoint: string | undefined,
  who: { user: { id: string; email: string; name: string }; clientId: string; scope: readonly string[] },
) => Promise<OpenedServer[]>

export type DecisionDeps = OAuthDeps & PageDeps & { openedBy: OpenedBy }

/** @param scope What the viewer can grant of what the client asks for. */
export async function describeRequest(
  deps: DecisionDeps,
  viewer: Viewer,
  {
    clientId,
    scope,
    resource,
    refreshable,
  }: { clientId: string; scope: string[]; resource: string; refreshable: boolean },
): Promise<Asked> {
  const { userId: id, email, name } = viewer
  const endpoint = deps.resources.at(new URL(resource).pathname)
  const opensTools = endpoint?.url === resource && ['read', 'call'].some(what => allows(scope, `mcp:tools:${what}`))
  const [[before], opened] = await Promise.all([
    listConnections(deps, viewer.userId, { clientId, limit: 1 }),
    opensTools ? deps.openedBy(endpoint.upstream, { user: { id, email, name }, clientId, scope }) : [],
  ])
  return {
    permissions: choicesOf(deps.scopes, scope).map(name => ({ scope: name, text: deps.scopes.text(name) })),
    opened,
    usedBefore: before && lastUseOf(before).toISOString(),
    lasts: refreshable ? deps.config.GRANT_TTL : deps.config.ACCESS_TOKEN_TTL,
  }
}
