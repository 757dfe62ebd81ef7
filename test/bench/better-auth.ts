/**
 * A peer for OAuth: better-auth with its OAuth provider and device authorization, PostgreSQL and access tokens as ES256
 * JWTs. It is no dependency: the packages are in a directory of their own. Environment: PACKAGES, PORT and DATABASE_URL.
 */
const load = (name: string) => import(Bun.resolveSync(name, process.env.PACKAGES!))
const { betterAuth } = await load('better-auth')
const { getMigrations } = await load('better-auth/db/migration')
const { jwt } = await load('better-auth/plugins')
const { oauthProvider, oauthDeviceAuthorization } = await load('@better-auth/oauth-provider')
const { default: pg } = await load('pg')

const DEVICE_CODE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'
const baseURL = `http://localhost:${process.env.PORT}`
const auth = betterAuth({
  baseURL,
  secret: 'a secret of the benchmark, 32 characters or more',
  database: new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 16 }),
  rateLimit: { enabled: false },
  logger: { disabled: true },
  plugins: [
    jwt({ jwks: { keyPairConfig: { alg: 'ES256' } } }),
    oauthProvider({
      loginPage: '/sign-in',
      consentPage: '/consent',
      scopes: ['mcp'],
      resources: [`${baseURL}/mcp`],
      enforcePerClientResources: false,
      grantTypes: ['authorization_code', 'client_credentials', 'refresh_token', DEVICE_CODE_GRANT],
    }),
    oauthDeviceAuthorization({ verificationUri: '/device' }),
  ],
})
const { toBeCreated, runMigrations } = await getMigrations(auth.options)
const { adapter } = await auth.$context
if (toBeCreated.length > 0) {
  await runMigrations()
  const addClient = (clientId: string, more: object) => {
    const times = { createdAt: new Date(), updatedAt: new Date() }
    return adapter.create({
      model: 'oauthClient',
      data: { clientId, redirectUris: [], scopes: ['mcp'], ...times, ...more },
    })
  }
  await addClient('machine', {
    clientSecret: new Bun.CryptoHasher('sha256').update('s'.repeat(47)).digest('base64url'),
    tokenEndpointAuthMethod: 'client_secret_basic',
    grantTypes: ['client_credentials'],
    clientCredentialsScopes: ['mcp'],
  })
  await addClient('app', { public: true, tokenEndpointAuthMethod: 'none', grantTypes: [DEVICE_CODE_GRANT] })
}
Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  fetch: request => auth.handler(request),
})

export {}
