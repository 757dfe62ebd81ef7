/**
 * The administrator's pages, a file each: what the commands do, through the same services. `guard` decides who may see them,
 * checks their forms, and names the administrator in the audit log.
 */
import { Elysia } from 'elysia'
import { audit } from './audit.ts'
import { clients } from './clients.ts'
import { connections } from './connections.ts'
import type { AdminDeps } from './guard.ts'
import { overview } from './overview.ts'
import { person } from './person.ts'
import { settings } from './settings.ts'
import { traces } from './traces.ts'
import { upstreams } from './upstreams.ts'
import { users } from './users.ts'

export const admin = (deps: AdminDeps & { providers: ReadonlyMap<string, unknown> }) =>
  new Elysia({ name: 'admin' })
    .use(overview(deps))
    .use(users(deps))
    .use(person(deps))
    .use(clients(deps))
    .use(connections(deps))
    .use(upstreams(deps))
    .use(audit(deps))
    .use(traces(deps))
    .use(settings(deps))
