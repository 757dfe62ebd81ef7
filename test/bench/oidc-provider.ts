/**
 * The peer for OAuth: node-oidc-provider on Bun, with what it issues in PostgreSQL and access tokens as ES256 JWTs.
 * Environment: PORT and DATABASE_URL.
 */
import { createServer } from 'node:http'
import { exportJWK, generateKeyPair } from 'jose'
import postgres from 'postgres'

const sql = postgres(process.env.DATABASE_URL!, { max: 16 })
await sql`
  create table if not exists oidc_models (
    model text, id text, payload jsonb not null, user_code text, uid text, grant_id text, expires_at timestamptz,
    primary key (model, id)
  )`
await sql`create index if not exists oidc_user_codes on oidc_models (user_code) where user_code is not null`
await sql`create index if not exists oidc_grants on oidc_models (grant_id) where grant_id is not null`

type Payload = Record<string, string | undefined>

/** As its documentation describes an adapter. */
class Adapter {
  constructor(readonly model: string) {}

  async upsert(id: string, payload: Payload, expiresIn: number): Promise<void> {
    const { userCode = null, uid = null, grantId = null } = payload
    const expiresAt = expiresIn ? new Date(Date.now() + expiresIn * 1000) : null
    await sql`
      insert into oidc_models (model, id, payload, user_code, uid, grant_id, expires_at)
      values (${this.model}, ${id}, ${sql.json(payload as never)}, ${userCode}, ${uid}, ${grantId}, ${expiresAt})
      on conflict (model, id) do update set payload = excluded.payload, expires_at = excluded.expires_at`
  }
  async find(id: string): Promise<Payload | undefined> {
    const [row] = await sql`select payload from oidc_models where model = ${this.model} and id = ${id}`
    return row?.payload
  }
  async findByUserCode(code: string): Promise<Payload | undefined> {
    const [row] = await sql`select payload from oidc_models where model = ${this.model} and user_code = ${code}`
    return row?.payload
  }
  async findByUid(uid: string): Promise<Payload | undefined> {
    const [row] = await sql`select payload from oidc_models where model = ${this.model} and uid = ${uid}`
    return row?.payload
  }
  async consume(id: string): Promise<void> {
    await sql`
      update oidc_models set payload = payload || ${sql.json({ consumed: Date.now() })}
      where model = ${this.model} and id = ${id}`
  }
  async destroy(id: string): Promise<void> {
    await sql`delete from oidc_models where model = ${this.model} and id = ${id}`
  }
  async revokeByGrantId(grantId: string): Promise<void> {
    await sql`delete from oidc_models where grant_id = ${grantId}`
  }
}

const issuer = `http://localhost:${process.env.PORT}`
const { privateKey } = await generateKeyPair('ES256', { extractable: true })
const resource = `${issuer}/mcp`
Object.assign(console, { info: () => {}, warn: () => {} }) // it warns of every default
const { default: Provider } = await import('oidc-provider')
const provider = new Provider(issuer, {
  adapter: Adapter,
  clients: [
    {
      client_id: 'machine',
      client_secret: 's'.repeat(47),
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
    {
      client_id: 'app',
      token_endpoint_auth_method: 'none',
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  scopes: ['openid', 'offline_access', 'mcp'],
  features: {
    deviceFlow: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      getResourceServerInfo: () => ({ scope: 'mcp', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }),
    },
  },
  routes: {
    token: '/api/oauth/token',
    device_authorization: '/api/oauth/device',
    introspection: '/api/oauth/introspect',
  },
  jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'peer', use: 'sig', alg: 'ES256' }] },
  cookies: { keys: ['a key of a peer'] },
})
createServer(provider.callback()).listen(Number(process.env.PORT), '127.0.0.1')
