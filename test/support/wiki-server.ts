/** An MCP server on SDK 2 whose authorization server is `oidc-provider`: people sign in there, clients register themselves. */
import { createServer } from 'node:http'
import {
  createMcpHandler,
  getOAuthProtectedResourceMetadataUrl,
  McpServer,
  OAuthError,
  OAuthErrorCode,
  requireBearerAuth,
} from '@modelcontextprotocol/server'
import { quietly } from './openid-provider.ts'
import { freePort } from './ports.ts'

export interface WikiServer extends AsyncDisposable {
  url: string
  /** Token requests by grant type, in order. */
  grants: string[]
}

const HOUR = 3600
const SCOPE = 'wiki:read'

export async function startWiki(): Promise<WikiServer> {
  const issuer = `http://127.0.0.1:${await freePort()}`
  const url = `http://127.0.0.1:${await freePort()}/mcp`
  const grants: string[] = []
  const provider = await quietly(async () => {
    const { default: Provider } = await import('oidc-provider')
    return new Provider(issuer, {
      claims: { openid: ['sub'], email: ['email'] },
      clientDefaults: { token_endpoint_auth_method: 'none' },
      conformIdTokenClaims: false, // the ID token itself has the e-mail address
      cookies: { keys: ['a key of the tests'] },
      features: {
        registration: { enabled: true },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: () => ({ scope: SCOPE, audience: url, accessTokenFormat: 'opaque' }),
        },
      },
      findAccount: (_: unknown, sub: string) => ({
        accountId: sub,
        claims: () => ({ sub, email: `${sub}@wiki.example` }),
      }),
      pkce: { required: () => true },
      ttl: {
        AccessToken: HOUR,
        AuthorizationCode: 60,
        Grant: HOUR,
        IdToken: HOUR,
        Interaction: HOUR,
        RefreshToken: HOUR,
        Session: HOUR,
      },
    })
  })
  provider.on('grant.success', ({ oidc }) => void grants.push(oidc.params.grant_type))
  const authorization = createServer(provider.callback()).listen(Number(new URL(issuer).port), '127.0.0.1')

  const gate = requireBearerAuth({
    verifier: {
      async verifyAccessToken(token) {
        const found = await provider.AccessToken.find(token)
        if (!found) throw new OAuthError(OAuthErrorCode.InvalidToken, 'unknown')
        const { accountId, clientId, scope, exp, aud } = found
        return {
          token,
          clientId,
          scopes: scope.split(' '),
          expiresAt: exp,
          resource: new URL(aud),
          extra: { accountId },
        }
      },
    },
    requiredScopes: [SCOPE],
    resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(new URL(url)),
    expectedResource: new URL(url),
  })
  const handler = createMcpHandler(({ authInfo }) => {
    const server = new McpServer({ name: 'wiki', version: '1' })
    server.registerTool('whoami', { description: 'Who is signed in' }, async () => ({
      content: [{ type: 'text', text: String(authInfo?.extra?.accountId) }],
    }))
    return server
  })
  const http = Bun.serve({
    hostname: '127.0.0.1',
    port: Number(new URL(url).port),
    idleTimeout: 0,
    async fetch(request) {
      if (new URL(request.url).pathname === '/.well-known/oauth-protected-resource/mcp')
        return Response.json({
          resource: url,
          authorization_servers: [issuer],
          scopes_supported: [SCOPE],
        })
      const auth = await gate(request)
      return auth instanceof Response ? auth : handler.fetch(request, { authInfo: auth })
    },
  })
  return {
    url,
    grants,
    async [Symbol.asyncDispose]() {
      await http.stop(true)
      authorization.closeAllConnections()
      authorization.close()
    },
  }
}
