/** Serves metrics: on a separate, unpublished port, or on the server's port with a token. */
import { Elysia, NotFoundError } from 'elysia'
import type { Base } from '../base.ts'
import { sameBytes } from '../lib/crypto.ts'
import { OAuthError } from '../lib/errors.ts'
import type { Metrics } from '../metrics.ts'
import { bearerToken } from './authorization.ts'
import { UNLOGGED } from './routes.ts'

/** `GET /metrics` with METRICS_TOKEN. */
export const metrics = ({ config, metrics }: Base) =>
  new Elysia({ name: 'metrics' }).get(
    '/metrics',
    ({ request }) => {
      if (config.METRICS_TOKEN === undefined) throw new NotFoundError()
      const token = bearerToken(request)
      if (token === undefined || !sameBytes(Buffer.from(token), Buffer.from(config.METRICS_TOKEN)))
        throw new OAuthError('invalid_token', 'The metrics require METRICS_TOKEN as bearer token', {
          status: 401,
          headers: { 'WWW-Authenticate': 'Bearer' },
        })
      return exposition(metrics)
    },
    UNLOGGED,
  )

/** The app that listens on METRICS_PORT. */
export const metricsApp = ({ metrics }: Base) => new Elysia().get('/metrics', () => exposition(metrics))

async function exposition(metrics: Metrics): Promise<Response> {
  return new Response(await metrics.text(), { headers: { 'Content-Type': metrics.contentType } })
}
