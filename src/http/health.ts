/** For load balancers: whether the process is alive, and whether it is ready for requests. */
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
        await ping(base.sql) // the error boundary answers an outage with 503
        return noStoreJson({ status: 'ok' })
      },
      UNLOGGED,
    )
