/**
 * The administrator's pages, a file each: what the commands do, through the same services. `guard` decides who may see them,
 * checks their forms, and names the administrator in the audit log.
 */
import { Elysia } from 'elysia'
import { seeOther } from '../http/pages.ts'
import { PAGE } from '../http/routes.ts'
import { clients } from './clients.ts'
import { connections } from './connections.ts'
import { type AdminDeps, administrators } from './guard.ts'
import { users } from './users.ts'

export const admin = (deps: AdminDeps) =>
  new Elysia({ name: 'admin' })
    .use(administrators(deps))
    .get('/admin', () => seeOther('/admin/users'), { administrator: true, ...PAGE })
    .use(users(deps))
    .use(clients(deps))
    .use(connections(deps))
