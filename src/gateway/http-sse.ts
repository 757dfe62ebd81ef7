/** A connection over HTTP+SSE, the transport of 2024-11-05: one event stream from the server, and a URL to POST to. */
import { type Connection, type ConnectionEvents, fail, UpstreamFailure } from './connection.ts'
import type { HttpSpec } from './http.ts'
import { mediaTypeOf, parseMessages, readRefusal } from './http-answers.ts'
import { readChunks, sendWith } from './outbound.ts'
import { openEventReader } from './sse.ts'

/** Resolves when the server has sent its POST URL. @throws UpstreamFailure if it does not. */
export async function openHttpSse(spec: HttpSpec, events: ConnectionEvents): Promise<Connection> {
  const closing = new AbortController()
  const { signal } = closing
  const headers = { ...spec.headers, Accept: 'text/event-stream' }
  const response = await sendWith(spec.credential, spec.url, { method: 'GET', headers, signal })
  if (!response.ok) throw new UpstreamFailure((await readRefusal(response, undefined, false)).failure)
  if (mediaTypeOf(response) !== 'text/event-stream') {
    await response.body?.cancel()
    throw fail('malformed', 'the answer is not an event stream')
  }
  const endpoint = Promise.withResolvers<string>()
  const reader = openEventReader(spec.maxBytes, ({ event, data, bytes }) => {
    if (event === 'endpoint') endpoint.resolve(postUrl(spec.url, data))
    else if (event === 'message')
      for (const message of parseMessages(data, undefined, spec.maxItems)) events.onMessage(message, bytes)
  })
  const follow = async () => {
    await readChunks(response, chunk => {
      reader.push(chunk)
      return false
    })
    throw fail('unreachable', 'the stream ended')
  }
  void follow().catch(error => {
    const failure = error instanceof UpstreamFailure ? error : fail('malformed', (error as Error).message)
    endpoint.reject(failure)
    closing.abort()
    events.onClose(failure.failure)
  })
  const url = await endpoint.promise

  return {
    async send(message, more) {
      if (signal.aborted) throw fail('cancelled', 'the connection was closed')
      const answer = await sendWith(spec.credential, url, {
        method: 'POST',
        headers: { ...spec.headers, ...more, 'Content-Type': 'application/json' },
        body: JSON.stringify(message),
        signal,
      })
      if (!answer.ok) throw new UpstreamFailure((await readRefusal(answer, undefined, false)).failure)
      await answer.body?.cancel()
    },
    async close() {
      closing.abort()
    },
  }
}

/** Accepts only the same origin, so that configured secret headers go nowhere else. */
function postUrl(base: string, endpoint: string): string {
  const url = URL.parse(endpoint, base)
  if (url?.origin !== new URL(base).origin) throw fail('malformed', 'the endpoint has another origin')
  return url.href
}
