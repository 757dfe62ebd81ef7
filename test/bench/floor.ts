/**
 * The least that a server of each kind can do, on a bare `Bun.serve`: no checks, no limits, no log. What is measured
 * beside it is the rest. Prepared statements, a signature with `node:crypto`, verified tokens remembered by hash.
 * Environment: PORT and DATABASE_URL.
 */
import { createHash, generateKeyPairSync, hash, randomBytes, randomUUID, sign } from 'node:crypto'
import postgres from 'postgres'

const NO_STORE = { 'Cache-Control': 'no-store' }
const sql = postgres(process.env.DATABASE_URL!, { max: 16, fetch_types: false })
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const header = Buffer.from('{"alg":"ES256","typ":"at+jwt"}').toString('base64url')
const secretHashes = new Map<string, string>()
const hashOf = (secret: string) => hash('sha256', secret, 'buffer')
const secret = (kind: string) => `${kind}_${randomBytes(32).toString('base64url')}`
const metadata = {
  issuer: 'http://localhost',
  token_endpoint: 'http://localhost/api/oauth/token',
  padding: 'x'.repeat(1500),
}

function accessToken(clientId: string): string {
  const iat = Math.floor(Date.now() / 1000)
  const claims = {
    iss: metadata.issuer,
    aud: 'mcp',
    sub: clientId,
    client_id: clientId,
    scope: 'mcp',
    iat,
    exp: iat + 3600,
  }
  const input = `${header}.${Buffer.from(JSON.stringify({ ...claims, jti: randomUUID() })).toString('base64url')}`
  const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

const tokens = (refreshToken?: string) =>
  Response.json(
    { access_token: accessToken('bench'), token_type: 'Bearer', expires_in: 3600, refresh_token: refreshToken },
    { headers: NO_STORE },
  )

async function token(request: Request): Promise<Response> {
  const form = new URLSearchParams(await request.text())
  const now = new Date()
  switch (form.get('grant_type')) {
    case 'client_credentials': {
      const basic = atob(request.headers.get('authorization')!.slice(6))
      secretHashes.set('bench', hashOf(basic).toString('hex'))
      return tokens()
    }
    case 'authorization_code': {
      const challenge = createHash('sha256').update(form.get('code_verifier')!).digest('base64url')
      const refreshToken = secret('mrt')
      const rows = await sql`
        with used as (
          update floor_secrets set used_at = ${now} where hash = ${hashOf(form.get('code')!)} and used_at is null returning id
        )
        insert into floor_secrets (hash, id) select ${hashOf(refreshToken)}, id from used returning id, ${challenge}::text`
      return rows.length === 1 ? tokens(refreshToken) : new Response(null, { status: 400 })
    }
    case 'refresh_token': {
      const refreshToken = secret('mrt')
      const rows = await sql`
        with used as (
          update floor_secrets set used_at = ${now}
          where hash = ${hashOf(form.get('refresh_token')!)} and used_at is null
          returning id
        )
        insert into floor_secrets (hash, id) select ${hashOf(refreshToken)}, id from used returning id`
      return rows.length === 1 ? tokens(refreshToken) : new Response(null, { status: 400 })
    }
    default: {
      const [row] = await sql`
        update floor_polls set polled_at = ${now} where hash = ${hashOf(form.get('device_code')!)} returning polled_at`
      return Response.json(
        { error: row ? 'authorization_pending' : 'invalid_grant' },
        { status: 400, headers: NO_STORE },
      )
    }
  }
}

async function device(request: Request): Promise<Response> {
  const form = new URLSearchParams(await request.text())
  const deviceCode = secret('mdc')
  await sql`
    insert into floor_secrets (hash, id, name, client_id) values
    (${hashOf(deviceCode)}, ${randomUUID()}, ${randomBytes(6).toString('base64url')}, ${form.get('client_id')})`
  return Response.json(
    { device_code: deviceCode, user_code: 'BCDF-GHJK', expires_in: 600, interval: 5 },
    { headers: NO_STORE },
  )
}

async function introspect(request: Request): Promise<Response> {
  const form = new URLSearchParams(await request.text())
  secretHashes.set('bench', hashOf(request.headers.get('authorization')!).toString('hex'))
  const active = verified.get(hashOf(form.get('token')!).toString('base64')) !== undefined
  return Response.json({ active, client_id: 'bench', scope: 'mcp', exp: 0 }, { headers: NO_STORE })
}

const verified = new Map<string, object>()

async function mcp(request: Request): Promise<Response> {
  const authorization = request.headers.get('authorization')
  if (authorization === null)
    return Response.json({ error: 'invalid_token' }, { status: 401, headers: { 'WWW-Authenticate': 'Bearer' } })
  verified.get(hashOf(authorization).toString('base64'))
  const { id, method } = (await request.json()) as { id: number; method: string }
  const structuredContent = { user: { id: 'ada', email: 'ada@example.com' }, scope: ['mcp'] }
  const result =
    method === 'tools/list'
      ? { tools: [{ name: 'whoami', description: 'x'.repeat(1500), inputSchema: { type: 'object' } }] }
      : { content: [{ type: 'text', text: JSON.stringify(structuredContent) }], structuredContent }
  return Response.json({ jsonrpc: '2.0', id, result })
}

await sql`create table if not exists floor_secrets (hash bytea primary key, id uuid, name text unique, client_id text, used_at timestamptz)`
await sql`create unlogged table if not exists floor_polls (hash bytea primary key, polled_at timestamptz)`
Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  routes: {
    '/healthz': () => Response.json({ status: 'ok' }, { headers: NO_STORE }),
    '/.well-known/oauth-authorization-server': () => Response.json(metadata),
    '/api/oauth/token': { POST: token },
    '/api/oauth/device': { POST: device },
    '/api/oauth/introspect': { POST: introspect },
    '/mcp': { POST: mcp },
  },
})
