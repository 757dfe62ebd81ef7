/** A user's connected apps: naming one, and ending one, all of an app, or all. */
import { Elysia } from 'elysia'
import { z } from 'zod'
import type { Connection } from '../../sql/grants.ts'
import { type ConnectedApp, type ConnectionsProps, connectionList } from '../../views/connections.tsx'
import { fill } from '../../views/texts/index.ts'
import type { Handled } from '../http/client-address.ts'
import type { UpstreamsFor } from '../http/home.ts'
import { textsOf } from '../http/language.ts'
import { noticeCookie } from '../http/notice.ts'
import { isFragmentRequest, seeOther } from '../http/pages.ts'
import { checkParams, queryParams, readParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { csrfToken, requireCsrf, session, type Viewer, type Viewers } from '../http/session.ts'
import { page } from '../http/shell.ts'
import { clientLabel } from '../oauth/clients/names.ts'
import { listIdleConsents } from '../oauth/consents.ts'
import type { OAuthDeps } from '../oauth/deps.ts'
import { listConnections, renameConnection, revokeGrant, revokeGrantsOfUser } from '../oauth/tokens.ts'
import { permissionsOf } from './permissions.ts'

const CONNECTIONS = 'connections'
const oneSchema = z.object({ id: z.uuid() })
const renameSchema = z.object({ id: z.uuid(), name: z.string().max(300).default('') })
const appSchema = z.object({ client_id: z.string().max(500) })

export type ConnectionsDeps = OAuthDeps & { viewers: Viewers; upstreamsFor: UpstreamsFor }
type Asked = Handled & { viewer: Viewer }
type Listed = Connection & { of_client: number }

/** Connections on one page. */
const PER_PAGE = 100

/** The place in the list at which the page of a request begins, or at which the form was that it sends. */
const placeOf = (request: Request) => Number(/^\d{1,6}$/.exec(queryParams(request).from ?? '') ?? 0)

/** The parts of the account page that show connections. */
export async function connectionProps(
  deps: ConnectionsDeps,
  viewer: Viewer,
  request: Request,
): Promise<Omit<ConnectionsProps, 'shell'>> {
  const wanted = placeOf(request)
  const read = (offset: number) => listConnections(deps, viewer.userId, { offset, limit: PER_PAGE + 1 })
  const found = await read(wanted)
  // The last connection of the last page may just have ended.
  const [from, rows] = found.length === 0 && wanted > 0 ? [0, await read(0)] : [wanted, found]
  return {
    csrf: csrfToken(deps, viewer, CONNECTIONS),
    apps: appsOf(deps, viewer, rows.slice(0, PER_PAGE)),
    from,
    next: rows.length > PER_PAGE ? from + PER_PAGE : undefined,
  }
}

/** Connections by app, the last used one first. */
function appsOf(deps: ConnectionsDeps, viewer: Viewer, connections: Listed[]): ConnectedApp[] {
  const all = deps.upstreamsFor(viewer)
  return [...Map.groupBy(connections, ({ client_id }) => client_id)].map(([clientId, ofApp]) => ({
    client: labelOf(ofApp[0]!),
    clientId,
    count: ofApp[0]!.of_client,
    connections: ofApp.map(({ id, label, resource, scope, network, ...times }) => ({
      id,
      label: label ?? undefined,
      resource,
      servers: resource === deps.resources.hub.url ? all : [],
      permissions: permissionsOf(deps, scope),
      connectedAt: times.created_at.toISOString(),
      calledAt: times.called_at?.toISOString(),
      network: network ?? undefined,
      expiresAt: times.expires_at.toISOString(),
    })),
  }))
}

export const labelOf = ({
  client_id: id,
  client_name: name,
  client_source: source,
}: Pick<Connection, 'client_id' | 'client_name' | 'client_source'>) => clientLabel({ id, name, source })

export const connections = (deps: ConnectionsDeps) => {
  /** Reads a form of this page. */
  async function readForm<T extends z.ZodType>(asked: Asked, schema: T): Promise<z.output<T>> {
    const params = await readParams(asked.request)
    requireCsrf(deps, asked, asked.viewer, CONNECTIONS, params)
    return checkParams(params, schema)
  }

  /** Shows what is left, and says what was done. */
  async function answer({ request, viewer }: Asked, done: string): Promise<Response> {
    const from = placeOf(request)
    if (!isFragmentRequest(request))
      return seeOther(from === 0 ? '/account' : `/account?from=${from}`, [noticeCookie(deps, done)])
    const props = await connectionProps(deps, viewer, request)
    return page(deps, request, shell => connectionList({ ...props, shell, done }))
  }

  const ownConnection = async ({ viewer }: Asked, wanted: string) =>
    (await listConnections(deps, viewer.userId, { id: wanted }))[0]

  return new Elysia({ name: 'account-connections' })
    .use(session(deps))
    .post(
      '/account/disconnect',
      async asked => {
        const { id } = await readForm(asked, oneSchema)
        const connection = await ownConnection(asked, id)
        const ended = await revokeGrant(deps, { grantId: id, userId: asked.viewer.userId, by: 'user' })
        const t = textsOf(asked.request)
        if (!ended || !connection) return answer(asked, t.alreadyEnded)
        const { client_id: clientId, client_name: app } = connection
        const others = await listConnections(deps, asked.viewer.userId, { clientId, limit: 1 })
        return answer(asked, fill(others.length > 0 ? t.oneDisconnected : t.appDisconnected, { app }))
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )
    .post(
      '/account/rename',
      async asked => {
        const { id, name: typed } = await readForm(asked, renameSchema)
        const name = await renameConnection(deps, { id, userId: asked.viewer.userId, name: typed, by: 'user' })
        const connection = await ownConnection(asked, id)
        const t = textsOf(asked.request)
        if (name === undefined || !connection) return answer(asked, t.alreadyEnded)
        return answer(asked, fill(name === '' ? t.nameRemoved : t.renamed, { app: connection.client_name, name }))
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )
    .post(
      '/account/disconnect-app',
      async asked => {
        const { client_id: clientId } = await readForm(asked, appSchema)
        const { userId } = asked.viewer
        const connected = await listConnections(deps, userId, { clientId, limit: 1 })
        const known = [...connected, ...(await listIdleConsents(deps, userId))]
        const name = known.find(({ client_id }) => client_id === clientId)?.client_name
        const count = await revokeGrantsOfUser(deps, { userId, clientId }, 'user')
        const t = textsOf(asked.request)
        if (name === undefined) return answer(asked, t.alreadyEnded)
        return answer(asked, fill(count > 0 ? t.appDisconnected : t.willAskAgain, { app: name }))
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )
    .post(
      '/account/disconnect-all',
      async asked => {
        await readForm(asked, z.looseObject({}))
        const { userId } = asked.viewer
        await revokeGrantsOfUser(deps, { userId, keepTokens: true }, 'user')
        return answer(asked, textsOf(asked.request).allDisconnected)
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )
}
