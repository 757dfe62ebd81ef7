/** The overview: how many people and connections, what was called and refused in the last day, and how the upstreams are. */
import { Elysia } from 'elysia'
import { overviewPage } from '../../views/admin/overview.tsx'
import { PAGE } from '../http/routes.ts'
import { figuresOf } from './figures.ts'
import { type AdminDeps, administrators, adminPage } from './guard.ts'

export const overview = (deps: AdminDeps) =>
  new Elysia({ name: 'admin-overview' }).use(administrators(deps)).get(
    '/admin',
    async asked => {
      await deps.audit.flush()
      const figures = await figuresOf(deps)
      const upstreams = deps.gateway?.status().map(({ name, state, lastError }) => ({ name, state, lastError })) ?? []
      return adminPage(deps, asked, 'overview', frame => overviewPage({ frame, ...figures, upstreams }))
    },
    { administrator: true, ...PAGE },
  )
