/**
 * The MCP endpoints: bearer check, origin check, scopes, then the era that the client speaks. Tokens live in `oauth/`.
 *
 * - `modern` serves 2026-07-28, most of it through `dispatcher`; `legacy-http` the revisions before, over
 *   `http-transport` and its `event-log`; `legacy-sse` the transport of 2024-11-05.
 * - `sessions` and `streams` are what outlives a request, and their bounds; `event-stream` and `messages` what is on the wire.
 * - `server`, `calls` and `tools` are what all eras serve; `access` is who a caller is and what a token opens; `counts` counts what is bounded.
 */

import { Elysia } from 'elysia'
import { clientAddress, type Handled } from '../http/client-address.ts'
import { requireKnownOrigin } from '../http/origin.ts'
import { queryParams } from '../http/params.ts'
import { CROSS_ORIGIN } from '../http/routes.ts'
import { insufficientScope, requireBearer } from '../oauth/bearer.ts'
import type { OAuthDeps } from '../oauth/deps.ts'
import type { Resource } from '../oauth/resources.ts'
import { type Caller, missingScope, personOf } from './access.ts'
import { openCalls } from './calls.ts'
import { openCounts } from './counts.ts'
import { discoveryDocument } from './discovery-document.ts'
import { openLegacyHttp } from './legacy-http.ts'
import { openLegacySse } from './legacy-sse.ts'
import { openModern } from './modern.ts'
import { acceptedBy, jsonRpcError, readMessage, SMALL_BODY, TRANSPORT_ERROR } from './transport/messages.ts'
import { openStreams, tooManyStreams } from './transport/streams.ts'

/** Bodies of one person that may be large, or whose length is not known, being read at once. */
const LARGE_BODIES = 32

export const mcp = (deps: OAuthDeps) => {
  const { hub } = deps.resources
  const compatible = deps.resources.at('/api/sse')!
  const sse = deps.resources.at('/sse')
  const calls = openCalls(deps)
  /** Bodies that are being read, by person. */
  const reading = openCounts()
  const streams = openStreams(deps)
  const modern = openModern(calls)
  const legacyHttp = openLegacyHttp(deps, calls)
  const legacySse = openLegacySse(deps, calls)

  /** Everything that a request must pass before a message is looked at. */
  async function authorize({ request, server }: Handled, resource: Resource): Promise<Caller> {
    requireKnownOrigin(deps.config, request)
    const principal = await requireBearer(deps, request, resource)
    return { ...principal, ip: clientAddress(deps, request, server) }
  }

  /** The message of a POST, if the caller may send it. @throws OAuthError `insufficient_scope`. */
  async function receive(handled: Handled, resource: Resource, caller: Caller): Promise<object | Response> {
    const message = await readWithin(personOf(caller), handled.request)
    if (message instanceof Response) return message
    // Again, for it may have taken its time to send the body, and its token may have been revoked meanwhile.
    await authorize(handled, resource)
    const missing = missingScope(caller, message)
    if (missing.length > 0) throw insufficientScope(deps, resource, missing)
    return message
  }

  async function readWithin(person: string, request: Request): Promise<object | Response> {
    const length = request.headers.get('content-length')
    if (length !== null && Number(length) <= SMALL_BODY) return readMessage(request)
    if (reading.of(person) >= LARGE_BODIES)
      return jsonRpcError(429, TRANSPORT_ERROR, 'Too many large requests at once', { 'Retry-After': '1' })
    reading.add(person)
    try {
      return await readMessage(request)
    } finally {
      reading.remove(person)
    }
  }

  /** Streamable HTTP. */
  async function serve(handled: Handled, resource: Resource): Promise<Response> {
    const { request } = handled
    const caller = await authorize(handled, resource)
    const message = request.method === 'POST' ? await receive(handled, resource, caller) : undefined
    if (message instanceof Response) return message
    const accepts = acceptedBy(request)
    if (message && !accepts.json)
      return jsonRpcError(406, TRANSPORT_ERROR, 'The client must accept application/json and text/event-stream')
    const farewell = message && modern.farewell(message)
    // A call must not be refused after it was made: where there is no room for a stream, the answer is JSON.
    if (message && farewell === undefined && !streams.hasRoom(caller)) accepts.stream = false
    const response =
      (message && (await modern.serve(caller, request, accepts, message))) ??
      (await legacyHttp.serve(caller, request, accepts, message))
    return streams.guard(caller, request, response, farewell)
  }

  /** HTTP+SSE: the stream. */
  async function openSse(handled: Handled, resource: Resource): Promise<Response> {
    const caller = await authorize(handled, resource)
    if (!streams.hasRoom(caller)) return tooManyStreams() // before another session has to go for this one
    return streams.guard(caller, handled.request, await legacySse.open(caller))
  }

  const app = new Elysia({ name: 'mcp' })
    .get('/mcp', context => serve(context, hub), CROSS_ORIGIN)
    .post('/mcp', context => serve(context, hub), { parse: 'none', ...CROSS_ORIGIN })
    .delete('/mcp', context => serve(context, hub), { parse: 'none', ...CROSS_ORIGIN })
    .get(
      '/api/sse',
      context => {
        const { request } = context
        if (!acceptedBy(request).stream) return Response.json(discoveryDocument(deps))
        return sse && !request.headers.has('mcp-session-id') ? openSse(context, compatible) : serve(context, compatible)
      },
      CROSS_ORIGIN,
    )
    .post('/api/sse', context => serve(context, compatible), { parse: 'none', ...CROSS_ORIGIN })
    .delete('/api/sse', context => serve(context, compatible), { parse: 'none', ...CROSS_ORIGIN })
  if (!sse) return app
  return app
    .get('/sse', context => openSse(context, sse), CROSS_ORIGIN)
    .post(
      '/messages',
      async context => {
        const { request } = context
        const caller = await authorize(context, sse)
        const message = await receive(context, sse, caller)
        if (message instanceof Response) return message
        return legacySse.receive(caller, queryParams(request).sessionId ?? '', message)
      },
      { parse: 'none', ...CROSS_ORIGIN },
    )
}
