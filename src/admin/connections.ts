/** Connections of everybody: finding them, and ending one, all of a person or all of a client. */
import { Elysia } from 'elysia'
import { z } from 'zod'
import type { UserConnection } from '../../sql/grants.ts'
import { type ConnectionView, connectionsPage, endedConnection } from '../../views/admin/connections.tsx'
import { isFragmentRequest } from '../http/pages.ts'
import { queryParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { page } from '../http/shell.ts'
import { clientLabel } from '../oauth/clients/names.ts'
import { newestConnections, renameConnection, revokeGrant, revokeGrantsOfClient } from '../oauth/tokens.ts'
import { lastUseOf } from '../oauth/uses.ts'
import { usersWithAddress } from '../signin/service.ts'
import { endConnectionsOfUsers } from './connection-ends.ts'
import { type AdminDeps, type Asked, administrators, adminPage, asAdministrator, backTo, readForm } from './guard.ts'
import { address, formatBefore, GRANT_IDS, placeBefore } from './paging.ts'

const LIMIT = 50
const about = z.string().max(2000).default('')
const endSchema = z.object({ id: z.uuid(), q: about })
const renameSchema = endSchema.extend({ name: z.string().max(300).default('') })
const endAllSchema = z.object({ q: about.refine(q => q !== '') })

export const connections = (deps: AdminDeps) =>
  new Elysia({ name: 'admin-connections' })
    .use(administrators(deps))
    .get('/admin/connections', asked => showConnections(deps, asked), { administrator: true, ...PAGE })
    .post(
      '/admin/connections/end',
      async asked => {
        const { id, q } = await readForm(deps, asked, 'connections', endSchema)
        const ended = await revokeGrant(asAdministrator(deps, asked), { grantId: id, by: 'operator' })
        const notice = ended
          ? 'The connection has ended. Its tokens no longer work.'
          : 'This connection had already ended.'
        if (isFragmentRequest(asked.request)) return page(deps, asked.request, () => endedConnection({ notice }))
        return backTo(deps, address('/admin/connections', { q }), notice)
      },
      { parse: 'none', administrator: true, ...PAGE },
    )
    .post(
      '/admin/connections/rename',
      async asked => {
        const { id, q, name: typed } = await readForm(deps, asked, 'connections', renameSchema)
        const name = await renameConnection(asAdministrator(deps, asked), { id, name: typed, by: 'operator' })
        const notice =
          name === undefined
            ? 'This connection had already ended.'
            : name === ''
              ? 'The connection has no name any more.'
              : `The connection is now called ${name}.`
        return backTo(deps, address('/admin/connections', { q }), notice)
      },
      { parse: 'none', administrator: true, ...PAGE },
    )
    .post(
      '/admin/connections/end-all',
      async asked => {
        const { q } = await readForm(deps, asked, 'connections', endAllSchema, {
          dangerous: ({ q }) => ({ q }),
        })
        const acting = asAdministrator(deps, asked)
        const count = isPerson(q) ? await endConnectionsOfUsers(acting, q) : await revokeGrantsOfClient(acting, q)
        const notice = count === 1 ? 'One connection has ended.' : `${count} connections have ended.`
        return backTo(deps, address('/admin/connections', { q }), notice)
      },
      { parse: 'none', administrator: true, ...PAGE },
    )

/** A client's id is ours or a URL; neither looks like an address. */
const isPerson = (q: string) => q.includes('@') && !q.includes('/')

async function showConnections(deps: AdminDeps, asked: Asked): Promise<Response> {
  const { q = '', before } = queryParams(asked.request)
  const found = await newestConnections(deps, {
    ...(isPerson(q)
      ? { userIds: (await usersWithAddress(deps, q)).map(({ id }) => id) }
      : { clientId: q || undefined }),
    before: placeBefore(before, GRANT_IDS),
    limit: LIMIT + 1,
  })
  const last = found.length > LIMIT ? found[LIMIT - 1] : undefined
  return adminPage(deps, asked, 'connections', frame =>
    connectionsPage({
      frame,
      q,
      about: q === '' ? 'everybody' : isPerson(q) ? 'person' : 'client',
      connections: found.slice(0, LIMIT).map(shown),
      next: last && address('/admin/connections', { q, before: formatBefore(last) }),
    }),
  )
}

function shown(connection: UserConnection): ConnectionView {
  const { id, email, label, client_id, client_name, client_source, scope, resource, created_at } = connection
  return {
    id,
    email,
    client: clientLabel({ id: client_id, name: client_name, source: client_source }),
    clientId: client_id,
    label,
    scope,
    resource,
    connectedAt: created_at.toISOString(),
    usedAt: lastUseOf(connection).toISOString(),
  }
}
