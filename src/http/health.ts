/** For load balancers: whether the process is alive, and whether it is ready for requests. */
import { Elysia } from 'elysia'
import { ping } from '../../sql/index.ts'
import type { Base } from '../base.ts'
import { noStoreJson } from './json.ts'
import { openJson } from './response-headers.ts'
import { DIRECT_UNLOGGED, UNLOGGED } from './routes.ts'

/** @param details What `/readyz?verbose` adds for people; load balancers look at the status alone. */
export const health = (base: Base, details: () => Record<string, unknown>) => {
  const json = openJson(base.config, 'own')
  return new Elysia({ name: 'health' })
    .get('/healthz', () => json({ status: 'ok' }), DIRECT_UNLOGGED)
    .get(
      '/readyz',
      async ({ request }) => {
        if (base.draining.signal.aborted) return noStoreJson({ status: 'stopping' }, 503)
        await ping(base.sql) // the error boundary answers an outage with 503
        const isVerbose = URL.parse(request.url)?.searchParams.has('verbose')
        return noStoreJson({ status: 'ok', ...(isVerbose ? { database: 'ok', ...details() } : {}) })
      },
      UNLOGGED,
    )
}
