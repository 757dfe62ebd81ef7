/**
 * A small MCP server for notes, and its authorization server, which approves every request for the user that the browser
 * names (`login`). Every response can be replaced.
 */
import { createHash, randomBytes } from 'node:crypto'

export interface NotesServer extends AsyncDisposable {
  origin: string
  url: string
  /** `METHOD /path`, with the grant type of token requests, in order. */
  requests: string[]
  /** Authorization headers sent to the MCP endpoint and others. */
  seen: { path: string; authorization: string | null; body: string }[]
  /** Responses that replace the usual ones, by path. */
  replace: Map<string, Handler>
  /** Lifetime of access tokens in seconds; 0: no expires_in. */
  lifetime: number
  /** Whether refresh tokens are issued. */
  refreshable: boolean
  /** Scopes that a token gets. */
  grant(asked: string[]): string[]
  /** Token exchange (RFC 8693): whose token it is. Without it, or without a login, the request is refused. */
  loginOf: ((subjectToken: string) => Promise<string | undefined>) | undefined
  /** A token that was issued earlier. */
  issued(login: string): string
  /** Revokes tokens: access tokens then get 401, refresh tokens invalid_grant. */
  revokeAll(what: 'access' | 'refresh'): void
  /** How many refresh requests there were. */
  refreshes(): number
}

export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'

type Handler = (request: Request, body: string) => Response | Promise<Response | undefined> | undefined
interface Grant {
  login: string
  scope: string[]
}

const json = (value: unknown, status = 200, headers: Record<string, string> = {}) =>
  Response.json(value, { status, headers })
const newToken = (kind: string) => `${kind}_${randomBytes(18).toString('base64url')}`

export function startNotes(): NotesServer {
  const codes = new Map<string, Grant & { challenge: string; redirectUri: string; resource: string }>()
  const access = new Map<string, Grant>()
  const refresh = new Map<string, Grant>()

  const usual: Record<string, Handler> = {
    '/.well-known/oauth-protected-resource/mcp': () =>
      json({ resource: notes.url, authorization_servers: [notes.origin], scopes_supported: ['notes:read'] }),
    '/.well-known/oauth-authorization-server': () => json(metadataOf(notes.origin)),
    '/register': (_, body) => json({ ...JSON.parse(body), client_id: newToken('client') }, 201),
    '/authorize': request => {
      const query = new URL(request.url).searchParams
      const code = newToken('code')
      codes.set(code, {
        login: query.get('login') ?? 'nobody',
        scope: (query.get('scope') ?? '').split(' ').filter(Boolean),
        challenge: query.get('code_challenge')!,
        redirectUri: query.get('redirect_uri')!,
        resource: query.get('resource')!,
      })
      const back = new URL(query.get('redirect_uri')!)
      for (const [name, value] of Object.entries({ code, state: query.get('state')!, iss: notes.origin }))
        back.searchParams.set(name, value)
      return new Response(null, { status: 302, headers: { Location: back.href } })
    },
    '/token': async (_, body) => {
      const form = new URLSearchParams(body)
      notes.requests.push(`grant ${form.get('grant_type')}`)
      if (form.get('grant_type') === 'client_credentials') return issue({ login: 'the operator', scope: [] }, false)
      if (form.get('grant_type') === TOKEN_EXCHANGE) {
        const login = await notes.loginOf?.(form.get('subject_token')!)
        return login ? issue({ login, scope: [] }, false) : json({ error: 'invalid_request' }, 400)
      }
      if (form.get('grant_type') === 'refresh_token') {
        const token = form.get('refresh_token')!
        const grant = refresh.get(token)
        refresh.delete(token)
        return grant ? issue(grant) : json({ error: 'invalid_grant' }, 400)
      }
      const code = codes.get(form.get('code')!)
      codes.delete(form.get('code')!)
      const challenge = createHash('sha256')
        .update(form.get('code_verifier') ?? '')
        .digest('base64url')
      const isRight = code && code.challenge === challenge && code.redirectUri === form.get('redirect_uri')
      if (!isRight || form.get('resource') !== code.resource) return json({ error: 'invalid_grant' }, 400)
      return issue(code)
    },
    '/revoke': (_, body) => {
      const token = new URLSearchParams(body).get('token')!
      refresh.delete(token)
      access.delete(token)
      return new Response(null)
    },
    '/mcp': (request, body) => {
      const grant = access.get((request.headers.get('authorization') ?? '').replace('Bearer ', ''))
      const challenge = `resource_metadata="${notes.origin}/.well-known/oauth-protected-resource/mcp", scope="notes:read"`
      if (!grant) return new Response('', { status: 401, headers: { 'WWW-Authenticate': `Bearer ${challenge}` } })
      return request.method === 'POST' ? mcp(grant, JSON.parse(body)) : new Response('', { status: 405 })
    },
  }

  function issue({ login, scope: asked }: Grant, mayRefresh = notes.refreshable): Response {
    const grant = { login, scope: notes.grant(asked) }
    const [accessToken, refreshToken] = [newToken('access'), newToken('refresh')]
    access.set(accessToken, grant)
    if (mayRefresh) refresh.set(refreshToken, grant)
    return json({
      access_token: accessToken,
      token_type: 'Bearer',
      scope: grant.scope.join(' '),
      ...(notes.lifetime > 0 ? { expires_in: notes.lifetime } : {}),
      ...(mayRefresh ? { refresh_token: refreshToken } : {}),
    })
  }

  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    async fetch(request): Promise<Response> {
      const { pathname: path } = new URL(request.url)
      const body = await request.text()
      notes.requests.push(`${request.method} ${path}`)
      notes.seen.push({ path, authorization: request.headers.get('authorization'), body })
      return (
        (await notes.replace.get(path)?.(request, body)) ??
        (await usual[path]?.(request, body)) ??
        new Response('', { status: 404 })
      )
    },
  })
  const origin = `http://127.0.0.1:${server.port}`
  const notes: NotesServer = {
    origin,
    url: `${origin}/mcp`,
    requests: [],
    seen: [],
    replace: new Map(),
    lifetime: 3600,
    refreshable: true,
    grant: asked => asked,
    loginOf: undefined,
    issued(login) {
      const token = newToken('access')
      access.set(token, { login, scope: [] })
      return token
    },
    revokeAll: what => (what === 'access' ? access : refresh).clear(),
    refreshes: () => notes.requests.filter(request => request === 'grant refresh_token').length,
    [Symbol.asyncDispose]: () => server.stop(true),
  }
  return notes
}

export const metadataOf = (issuer: string) => ({
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  registration_endpoint: `${issuer}/register`,
  revocation_endpoint: `${issuer}/revoke`,
  code_challenge_methods_supported: ['S256'],
  token_endpoint_auth_methods_supported: ['none', 'client_secret_basic'],
  authorization_response_iss_parameter_supported: true,
})

const TOOLS = ['whoami', 'write_note', 'slow_whoami'].map(name => ({ name, inputSchema: { type: 'object' } }))

/** 2025-11-25 without sessions. */
async function mcp(
  grant: Grant,
  message: { id?: number; method: string; params?: { name?: string } },
): Promise<Response> {
  const { id, method, params } = message
  if (id === undefined) return new Response(null, { status: 202 })
  const result = (value: unknown) => json({ jsonrpc: '2.0', id, result: value })
  if (method === 'initialize')
    return result({
      protocolVersion: '2025-11-25',
      capabilities: { tools: {} },
      serverInfo: { name: 'notes', version: '1' },
    })
  if (method === 'tools/list') {
    const own = { name: `notes_of_${grant.login}`, inputSchema: { type: 'object' } }
    return result({ tools: [...TOOLS, own] })
  }
  if (method !== 'tools/call') return json({ jsonrpc: '2.0', id, error: { code: -32601, message: 'no' } })
  if (params?.name === 'write_note' && !grant.scope.includes('notes:write'))
    return json({ error: 'insufficient_scope' }, 403, {
      'WWW-Authenticate': 'Bearer error="insufficient_scope", scope="notes:read notes:write"',
    })
  if (params?.name === 'slow_whoami') await Bun.sleep(Math.random() * 20)
  return result({ content: [{ type: 'text', text: grant.login }] })
}
