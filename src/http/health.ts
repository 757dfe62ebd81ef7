/** For load balancers: whether the process answers, and whether it should be sent requests. */
import { Elysia } from 'elysia'
import { ping } from '../../sql/index.ts'
import type { Base } from '../base.ts'
import { noStoreJson } from './json.ts'
import { UNLOGGED } from './routes.ts'

export const health = (base: Base) =>
  new Elysia({ name: 'health' })
    .get('/healthz', () => noStoreJson({ status: 'ok' }), UNLOGGED)
    .get(
      '/readyz',
      async () => {
        if (base.draining.signal.aborted) return noStoreJson({ status: 'stopping' }, 503)
        await ping(base.sql) // an outage is answered by the error boundary: 503
        return noStoreJson({ status: 'ok' })
      },
      UNLOGGED,
    )
