/**
 * The MCP endpoints: bearer check, the target of each message and its scopes, then the era of the client. Tokens live in
 * `oauth/`, upstream servers in `gateway/`.
 *
 * - `catalogue` is everything that a caller can use: `own-tools` (one file per tool in `tools/`) and the gateway.
 *   `methods` lists what each method needs; `core` looks up the target of a message.
 * - `envelope` detects the era. `modern` serves 2026-07-28; `conversation` serves earlier revisions, over `legacy-http`
 *   (sessions, whose ids are in `session-ids`) and `legacy-sse` (the transport of 2024-11-05).
 *   `changes` is what its clients subscribe to.
 * - `handover` brings a session's answers to the replica that asked.
 * - `transport/` is the wire format and whatever outlives a request: messages, event streams, sessions, resumption.
 * - `caller` identifies callers, `endpoints` publishes the addresses of upstream servers, `counts` counts limited things,
 *   `disabled-users` ends the upstream processes of disabled users.
 */

import { Elysia } from 'elysia'
import { RpcError } from '../gateway/messages.ts'
import { clientAddress, type Handled } from '../http/client-address.ts'
import { queryParams } from '../http/params.ts'
import { DIRECT, KNOWN_ORIGINS } from '../http/routes.ts'
import { see, seeError } from '../http/traced.ts'
import { after } from '../lib/after.ts'
import { OAuthError } from '../lib/errors.ts'
import { insufficientScope, requireBearer, requireStillValid } from '../oauth/bearer.ts'
import { lookUpUser } from '../oauth/memory.ts'
import type { Resource } from '../oauth/resources.ts'
import { noteUse } from '../oauth/uses.ts'
import { type Caller, gatewayCaller, personOf } from './caller.ts'
import { openCatalogue } from './catalogue.ts'
import { type AllPrepared, type Prepared, prepare } from './core.ts'
import { openCounts } from './counts.ts'
import { endWithPrincipals } from './disabled-users.ts'
import { discoveryDocument } from './discovery-document.ts'
import { publishEndpoints, upstreamResource } from './endpoints.ts'
import { type Envelope, readEnvelope } from './envelope.ts'
import { openHandover } from './handover.ts'
import { openLegacyHttp } from './legacy-http.ts'
import { openLegacySse } from './legacy-sse.ts'
import { openModern } from './modern.ts'
import type { ToolDeps } from './tools/tool.ts'
import { acceptedBy, headerOf, jsonRpcError, readMessage, SMALL_BODY, TRANSPORT_ERROR } from './transport/messages.ts'
import { openStreams, tooManyStreams } from './transport/streams.ts'

/** Maximum number of large bodies (or bodies of unknown length) of one person that are read at once. */
const LARGE_BODIES = 32
/** The status of a response that nobody receives, for the access log. */
const CLIENT_LEFT = 499

/** The body of a POST and the targets of its messages. */
interface Received {
  body: object
  items: (Prepared | undefined)[]
  /** Present in a valid request of 2026-07-28. */
  envelope: Envelope | undefined
  /** Why a request of 2026-07-28 is invalid. */
  refused: RpcError | undefined
}

export const mcp = (deps: ToolDeps) => {
  const { gateway } = deps
  const { hub } = deps.resources
  const compatible = deps.resources.at('/api/sse')!
  const sse = deps.resources.at('/sse')
  const catalogue = openCatalogue(deps)
  /** Large bodies being read, by person. */
  const reading = openCounts()
  const streams = openStreams(deps)
  const modern = openModern(deps, catalogue)
  const legacyHttp = openLegacyHttp(deps, catalogue, openHandover(deps))
  const legacySse = openLegacySse(deps, catalogue)
  if (gateway) {
    publishEndpoints(deps, gateway)
    endWithPrincipals(deps, gateway)
  }

  /** All checks before the messages are read. @returns a promise only if the database has to be asked. @throws OAuthError */
  function authorize(handled: Handled, resource: Resource): Caller | Promise<Caller> {
    return after(requireBearer(deps, handled, resource), principal => {
      const { grantId, clientId, userId } = principal
      if (deps.steps.isFirst(grantId ?? clientId)) see(deps, handled, 'call', 200, undefined)
      const ip = clientAddress(deps, handled.request, handled.server)
      noteUse(deps, principal, ip)
      const caller: Caller = { ...principal, ip, user: undefined, principal }
      if (!gateway) return caller
      return after(userId === null ? undefined : lookUpUser(deps, userId), user => {
        if (user) caller.user = { id: userId!, email: user.email, name: user.name }
        if (resource.upstream !== undefined && !gateway.mayUse(resource.upstream, gatewayCaller(caller)))
          throw new OAuthError('access_denied', 'You do not have access to this server', { status: 403 })
        return caller
      })
    })
  }

  /** Judges the body of a POST. @throws OAuthError `insufficient_scope` if the caller may not send these messages. */
  function receive(
    { request }: Handled,
    resource: Resource,
    caller: Caller,
    body: object,
  ): Received | Promise<Received> {
    let envelope: Envelope | undefined
    let refused: RpcError | undefined
    const accept = ({ prepared, missing }: AllPrepared): Received => {
      if (missing.length > 0) throw insufficientScope(deps, resource, missing)
      return { body, items: prepared, envelope, refused }
    }
    // Check again: the token may have been revoked while a slow body was being read.
    return after(requireStillValid(deps, caller.principal, resource), () => {
      try {
        envelope = readEnvelope(request.headers, body)
      } catch (error) {
        if (!(error instanceof RpcError)) throw error
        refused = error
      }
      const era = (envelope ?? refused) ? '2026' : '2025'
      const messages: unknown[] = Array.isArray(body) ? body : [body]
      return after(prepare(catalogue, resource.upstream, caller, era, messages), accept)
    })
  }

  function read(caller: Caller, request: Request): Response | Promise<object | Response> {
    const length = request.headers.get('content-length')
    const isSmall = length !== null && Number(length) <= SMALL_BODY
    return isSmall ? readMessage(request) : readLarge(personOf(caller), request)
  }

  async function readLarge(person: string, request: Request): Promise<object | Response> {
    if (reading.of(person) >= LARGE_BODIES)
      return jsonRpcError(429, TRANSPORT_ERROR, 'Too many large requests at once', { 'Retry-After': '1' })
    reading.add(person)
    try {
      return await readMessage(request)
    } finally {
      reading.remove(person)
    }
  }

  /** Streamable HTTP. @throws at once, not in a promise, if the token is missing: the most frequent request of strangers. */
  function serve(handled: Handled, resource: Resource): Promise<Response> {
    let authorized: Caller | Promise<Caller>
    try {
      authorized = authorize(handled, resource)
    } catch (error) {
      throw seen(handled, error)
    }
    return serveAuthorized(handled, resource, authorized)
  }

  async function serveAuthorized(
    handled: Handled,
    resource: Resource,
    authorized: Caller | Promise<Caller>,
  ): Promise<Response> {
    try {
      const caller = authorized instanceof Promise ? await authorized : authorized
      const body = handled.request.method === 'POST' ? await read(caller, handled.request) : undefined
      if (body instanceof Response) return body
      const received = body && receive(handled, resource, caller, body)
      if (!(received instanceof Promise)) return await answer(handled, resource, caller, received)
      const askedAt = performance.now()
      return await answer(handled, resource, caller, await received, askedAt)
    } catch (error) {
      throw seen(handled, error)
    }
  }

  function seen(handled: Handled, error: unknown): unknown {
    seeError(deps, handled, handled.request.headers.has('authorization') ? 'call' : 'challenge', error)
    return error
  }

  /** @param askedAt When it arrived, by `performance.now()`, if the targets of its messages had to be looked up since. */
  function answer(
    handled: Handled,
    resource: Resource,
    caller: Caller,
    received: Received | undefined,
    askedAt?: number,
  ): Response | Promise<Response> {
    const { request } = handled
    if (askedAt !== undefined && request.signal.aborted && !mayComeBack(request, received))
      return new Response(null, { status: CLIENT_LEFT })
    const accepts = acceptedBy(request)
    if (received && !accepts.json)
      return jsonRpcError(406, TRANSPORT_ERROR, 'The client must accept application/json and text/event-stream')
    if (received?.refused) return refusalOf(received.refused, received.body)
    const farewell = received?.envelope && modern.farewell(received.body)
    // A call is not refused for lack of a stream: it is answered in JSON instead.
    if (received && farewell === undefined && !streams.hasRoom(caller)) accepts.stream = false
    // A JSON answer sends nothing until it is complete, however long the upstream takes.
    if (!accepts.stream && received?.items.some(item => item?.target?.isRemote)) handled.server?.timeout(request, 0)
    const asked = { caller, endpoint: resource.upstream, request, accepts }
    const [first] = received?.items ?? []
    const answered =
      received?.envelope && first
        ? modern.serve({ ...asked, envelope: received.envelope, prepared: first })
        : legacyHttp.serve({ ...asked, items: received?.items, isBatch: Array.isArray(received?.body), askedAt })
    return after(answered, response => streams.guard(caller, request, response, farewell))
  }

  /** Opens the event stream of HTTP+SSE. */
  async function openSse(handled: Handled, resource: Resource): Promise<Response> {
    const caller = await authorize(handled, resource)
    if (!streams.hasRoom(caller)) return tooManyStreams() // checked first, so that no session is evicted in vain
    return streams.guard(caller, handled.request, legacySse.open(caller))
  }

  // By name, because Elysia parses the headers, cookies and query of every request to a handler that takes all of its context.
  const at =
    (resource: Resource) =>
    ({ request, server }: Handled) =>
      serve({ request, server }, resource)
  const upstream = ({ request, server, params }: Handled & { params: { name: string } }) =>
    serve({ request, server }, upstreamResource(deps, params.name))
  const app = new Elysia({ name: 'mcp' })
    .get('/mcp', at(hub), KNOWN_ORIGINS)
    .post('/mcp', at(hub), DIRECT)
    .delete('/mcp', at(hub), { parse: 'none', ...KNOWN_ORIGINS })
    .get('/mcp/:name', upstream, KNOWN_ORIGINS)
    .post('/mcp/:name', upstream, DIRECT)
    .delete('/mcp/:name', upstream, { parse: 'none', ...KNOWN_ORIGINS })
    .get(
      '/api/sse',
      ({ request, server }) => {
        const handled = { request, server }
        if (!acceptedBy(request).stream) return Response.json(discoveryDocument(deps))
        return sse && headerOf(request.headers, 'mcp-session-id') === null
          ? openSse(handled, compatible)
          : serve(handled, compatible)
      },
      KNOWN_ORIGINS,
    )
    .post('/api/sse', at(compatible), DIRECT)
    .delete('/api/sse', at(compatible), { parse: 'none', ...KNOWN_ORIGINS })
  if (!sse) return app
  return app
    .get('/sse', ({ request, server }) => openSse({ request, server }, sse), KNOWN_ORIGINS)
    .post(
      '/messages',
      async ({ request, server }) => {
        const handled = { request, server }
        const caller = await authorize(handled, sse)
        const body = await read(caller, request)
        if (body instanceof Response) return body
        const askedAt = performance.now()
        const received = await receive(handled, sse, caller, body)
        return legacySse.receive(caller, queryParams(request).sessionId ?? '', received.items, askedAt)
      },
      { parse: 'none', ...KNOWN_ORIGINS },
    )
}

/** Whether a client that disconnected may still get the answer: in a session, where that cancels nothing. */
function mayComeBack({ headers }: Request, received: Received | undefined): boolean {
  return !received?.envelope && headerOf(headers, 'mcp-session-id') !== null
}

function refusalOf({ rpcCode: code, message, data, httpStatus }: RpcError, body: object): Response {
  const { id } = body as { id?: unknown }
  const error = data === undefined ? { code, message } : { code, message, data }
  const known = typeof id === 'string' || Number.isSafeInteger(id) ? id : null
  return Response.json({ jsonrpc: '2.0', id: known, error }, { status: httpStatus })
}
