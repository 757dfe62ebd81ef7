/** For load balancers: whether the process answers, and whether it can reach its database. */
import { Elysia } from 'elysia'
import { ping } from '../../sql/index.ts'
import type { Base } from '../base.ts'

export const health = (base: Base) =>
  new Elysia({ name: 'health' })
    .get('/healthz', () => Response.json({ status: 'ok' }, { headers: { 'Cache-Control': 'no-store' } }))
    .get('/readyz', async () => {
      await ping(base.sql) // an outage is answered by the error boundary: 503
      return Response.json({ status: 'ok' }, { headers: { 'Cache-Control': 'no-store' } })
    })
