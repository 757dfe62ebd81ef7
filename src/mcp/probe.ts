/**
 * `GET /.well-known/mcp-oauth-server/stream`: a stream that is silent for a while, like one on which nothing happens. With
 * it `doctor` sees from outside what the proxies in front of this server do to streams and to the addresses of clients.
 */
import { Elysia } from 'elysia'
import type { Base } from '../base.ts'
import { clientAddress, forwardingOf } from '../http/client-address.ts'
import { OAuthError } from '../lib/errors.ts'
import { networkOf } from '../lib/networks.ts'
import { LIMITS, takeHit } from '../limits.ts'
import { openEventStream } from './transport/event-stream.ts'

/** A little longer than a stream of ours is ever silent. */
const MAX_SILENCE_S = 20
/** Of this replica. */
const MAX_OPEN = 100

export const probe = (deps: Base) => {
  let open = 0
  return new Elysia({ name: 'probe' }).get('/.well-known/mcp-oauth-server/stream', ({ request, server }) => {
    const ip = clientAddress(deps, request, server)
    takeHit(deps.limits, deps.now(), LIMITS.probes, networkOf(ip))
    if (open >= MAX_OPEN)
      throw new OAuthError('slow_down', 'Too many of these streams are open; try again in a minute', {
        status: 429,
        headers: { 'Retry-After': '60' },
      })
    const asked = Number(URL.parse(request.url)?.searchParams.get('silence'))
    const seconds = asked > 0 ? Math.min(asked, MAX_SILENCE_S) : 1
    const done = new AbortController()
    const stream = openEventStream(() => done.abort(), {}, '')
    const finish = () => {
      stream.write('event: end\ndata: {}\n\n')
      stream.end()
      done.abort()
    }
    open += 1
    const timer = setTimeout(finish, seconds * 1000)
    deps.stopping.signal.addEventListener('abort', finish, { signal: done.signal })
    done.signal.addEventListener('abort', () => {
      clearTimeout(timer)
      open -= 1
    })
    const forwarding = forwardingOf(deps.config, request, server)
    // An ignored header hides the client; its address is that of a proxy, which is nobody's business.
    stream.write(
      `event: begin\ndata: ${JSON.stringify({ forwarding, ...(forwarding === 'ignored' ? {} : { address: ip }) })}\n\n`,
    )
    return stream.response
  })
}
