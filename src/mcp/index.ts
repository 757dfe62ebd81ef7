/**
 * The MCP endpoints: bearer check, origin check, scopes, then the era that the client speaks. `modern` serves
 * 2026-07-28, `legacy-http` the revisions before, `legacy-sse` the transport of 2024-11-05; `sessions` and `streams` are
 * what outlives a request; `server` and `tools` are what all serve; `access` is what a token opens. Tokens themselves live
 * in `oauth/`.
 */
import { isLegacyRequest } from '@modelcontextprotocol/server'
import { Elysia } from 'elysia'
import type { Deps } from '../deps.ts'
import { insufficientScope, requireBearer } from '../http/bearer.ts'
import { readText } from '../http/body.ts'
import type { Handled } from '../http/client-address.ts'
import { requireKnownOrigin } from '../http/origin.ts'
import { queryParams } from '../http/params.ts'
import { OAuthError } from '../lib/errors.ts'
import { type Resource, resourcesOf } from '../oauth/model.ts'
import type { Principal } from '../oauth/tokens.ts'
import { missingScope } from './access.ts'
import { discoveryDocument } from './discovery-document.ts'
import { jsonRpcError, openLegacyHttp } from './legacy-http.ts'
import { openLegacySse } from './legacy-sse.ts'
import { modernHandler } from './modern.ts'
import { authInfoOf } from './server.ts'
import { openStreams } from './streams.ts'

const BODY_LIMIT = 4 * 1024 * 1024
/** Deeper JSON than any tool needs; a deeper one costs more to walk than it is worth. */
const MAX_DEPTH = 64
/** Each message of a batch is work of its own. */
const MAX_BATCH = 100

export const mcp = (deps: Deps) => {
  const resources = resourcesOf(deps.config)
  const [hub, compatible, sse] = resources
  const modern = modernHandler(deps)
  const streams = openStreams(deps)
  const legacyHttp = openLegacyHttp(deps)
  const legacySse = openLegacySse(deps)

  /** Everything that a request must pass before a message is looked at. */
  function authorize(request: Request, resource: Resource): Promise<Principal> {
    requireKnownOrigin(deps.config, request)
    return requireBearer(deps, request, resource)
  }

  /** The message of a POST, if the principal may send it. @throws OAuthError `insufficient_scope`. */
  async function receive(request: Request, resource: Resource, principal: Principal): Promise<unknown> {
    if (!/^application\/json\b/i.test(request.headers.get('content-type') ?? '')) {
      return jsonRpcError(415, -32000, 'The content type must be application/json')
    }
    const message = parseMessage(await readMessage(request))
    if (message instanceof Response) return message
    const missing = missingScope(principal, message)
    if (missing.length > 0) throw insufficientScope(deps, resource, missing)
    return message
  }

  /** Streamable HTTP. */
  async function serve({ request, server }: Handled, resource: Resource): Promise<Response> {
    const principal = await authorize(request, resource)
    const message = request.method === 'POST' ? await receive(request, resource, principal) : undefined
    if (message instanceof Response) return message
    const response =
      message === undefined || (await isLegacyRequest(request, message))
        ? await legacyHttp.serve(principal, request, message)
        : await modern.fetch(request, { authInfo: authInfoOf(principal), parsedBody: message })
    return streams.guard(principal, request, server, response)
  }

  /** HTTP+SSE: the stream. */
  async function openSse({ request, server }: Handled, resource: Resource): Promise<Response> {
    const principal = await authorize(request, resource)
    return streams.guard(principal, request, server, await legacySse.open(principal))
  }

  const app = new Elysia({ name: 'mcp' })
    .get('/mcp', context => serve(context, hub))
    .post('/mcp', context => serve(context, hub), { parse: 'none' })
    .delete('/mcp', context => serve(context, hub), { parse: 'none' })
    .get('/api/sse', context => {
      const { headers } = context.request
      if (!(headers.get('accept') ?? '').includes('text/event-stream')) return Response.json(discoveryDocument(deps))
      return sse && !headers.has('mcp-session-id') ? openSse(context, compatible) : serve(context, compatible)
    })
    .post('/api/sse', context => serve(context, compatible), { parse: 'none' })
    .delete('/api/sse', context => serve(context, compatible), { parse: 'none' })
  if (!sse) return app
  return app
    .get('/sse', context => openSse(context, sse))
    .post(
      '/messages',
      async ({ request }) => {
        const principal = await authorize(request, sse)
        const message = await receive(request, sse, principal)
        if (message instanceof Response) return message
        return legacySse.receive(principal, queryParams(request).sessionId ?? '', message)
      },
      { parse: 'none' },
    )
}

async function readMessage(request: Request): Promise<string> {
  try {
    return await readText(request, BODY_LIMIT)
  } catch (error) {
    if (error instanceof OAuthError && error.status === 413) return ''
    throw error
  }
}

/** The JSON-RPC message of a body, or the answer to one that is none. */
function parseMessage(text: string): unknown {
  if (text === '') return jsonRpcError(400, -32700, `Parse error: the body must be JSON of at most ${BODY_LIMIT} bytes`)
  let message: unknown
  try {
    message = JSON.parse(text)
  } catch {
    return jsonRpcError(400, -32700, 'Parse error: the body is not valid JSON')
  }
  if (typeof message !== 'object' || message === null)
    return jsonRpcError(400, -32600, 'Invalid request: the body must be a JSON-RPC message')
  if (Array.isArray(message) && message.length > MAX_BATCH)
    return jsonRpcError(400, -32600, `Invalid request: a batch must have at most ${MAX_BATCH} messages`)
  if (depthOver(message, MAX_DEPTH))
    return jsonRpcError(400, -32600, `Invalid request: the body is nested deeper than ${MAX_DEPTH}`)
  return message
}

function depthOver(value: unknown, left: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return left === 0 || Object.values(value).some(item => depthOver(item, left - 1))
}
