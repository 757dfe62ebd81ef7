/**
 * The MCP endpoints (Streamable HTTP): bearer check, origin check, scopes, then the era that the client speaks.
 * `modern` serves 2026-07-28, `legacy-http` the revisions before; `server` and `tools` are what both serve; `access` is
 * what a token opens. Tokens themselves live in `oauth/`.
 */
import { isLegacyRequest } from '@modelcontextprotocol/server'
import { Elysia } from 'elysia'
import type { Deps } from '../deps.ts'
import { insufficientScope, requireBearer } from '../http/bearer.ts'
import { readText } from '../http/body.ts'
import { requireKnownOrigin } from '../http/origin.ts'
import { OAuthError } from '../lib/errors.ts'
import { type Resource, resourcesOf } from '../oauth/model.ts'
import { missingScope } from './access.ts'
import { discoveryDocument } from './discovery-document.ts'
import { serveLegacy } from './legacy-http.ts'
import { modernHandler } from './modern.ts'

const BODY_LIMIT = 4 * 1024 * 1024
/** Deeper JSON than any tool needs; a deeper one costs more to walk than it is worth. */
const MAX_DEPTH = 64

export const mcp = (deps: Deps) => {
  const [hub, compatible] = resourcesOf(deps.config) as [Resource, Resource]
  const modern = modernHandler(deps)

  async function serve(request: Request, resource: Resource): Promise<Response> {
    requireKnownOrigin(deps.config, request)
    const principal = await requireBearer(deps, request, resource)
    if (request.method !== 'POST') return serveLegacy(deps, principal, request, undefined)
    if (!/^application\/json\b/i.test(request.headers.get('content-type') ?? '')) {
      return jsonRpcError(415, -32000, 'The content type must be application/json')
    }
    const message = parseMessage(await readMessage(request))
    if (message instanceof Response) return message
    const missing = missingScope(principal, message)
    if (missing.length > 0) throw insufficientScope(deps, resource, missing)
    if (await isLegacyRequest(request, message)) return serveLegacy(deps, principal, request, message)
    const authInfo = { token: '', clientId: principal.clientId, scopes: [...principal.scope], extra: { principal } }
    return modern.fetch(request, { authInfo, parsedBody: message })
  }

  return new Elysia({ name: 'mcp' })
    .get('/mcp', ({ request }) => serve(request, hub))
    .post('/mcp', ({ request }) => serve(request, hub), { parse: 'none' })
    .delete('/mcp', ({ request }) => serve(request, hub), { parse: 'none' })
    .get('/api/sse', ({ request }) =>
      (request.headers.get('accept') ?? '').includes('text/event-stream')
        ? serve(request, compatible)
        : Response.json(discoveryDocument(deps)),
    )
    .post('/api/sse', ({ request }) => serve(request, compatible), { parse: 'none' })
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
  if (depthOver(message, MAX_DEPTH))
    return jsonRpcError(400, -32600, `Invalid request: the body is nested deeper than ${MAX_DEPTH}`)
  return message
}

function depthOver(value: unknown, left: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return left === 0 || Object.values(value).some(item => depthOver(item, left - 1))
}

function jsonRpcError(status: number, code: number, message: string): Response {
  return Response.json({ jsonrpc: '2.0', error: { code, message }, id: null }, { status })
}
