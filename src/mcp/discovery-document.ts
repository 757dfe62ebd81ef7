import type { OAuthDeps } from '../oauth/deps.ts'
import { DEVICE_CODE_GRANT } from '../oauth/grants/types.ts'
import { DEFAULT_SCOPE } from '../oauth/scopes.ts'
import { SERVER_INFO } from './identity.ts'

/** GET /api/sse: all addresses in one document, for simple clients that do not read the RFCs' metadata. */
export function discoveryDocument({ config, scopes }: OAuthDeps) {
  const base = config.BASE_URL
  return {
    name: SERVER_INFO.name,
    version: SERVER_INFO.version,
    endpoints: {
      mcp: `${base}/mcp`,
      sse: `${base}/api/sse`,
      device: `${base}/api/oauth/device`,
      deviceToken: `${base}/api/oauth/device/token`,
      verificationUrl: `${base}/auth/device`,
      token: `${base}/api/oauth/token`,
      validate: `${base}/api/oauth/validate`,
      revoke: `${base}/api/oauth/revoke`,
      ...(config.REGISTRATION === 'closed' ? {} : { register: `${base}/api/oauth/register` }),
    },
    auth: {
      issuer: base,
      metadata: `${base}/.well-known/oauth-authorization-server`,
      defaultScope: DEFAULT_SCOPE,
      scopes: scopes.names,
      flows: {
        device_authorization: {
          grantType: DEVICE_CODE_GRANT,
          deviceUrl: `${base}/api/oauth/device`,
          tokenUrl: `${base}/api/oauth/device/token`,
          verificationUrl: `${base}/auth/device`,
        },
        client_credentials: { grantType: 'client_credentials', tokenUrl: `${base}/api/oauth/token` },
      },
    },
  }
}
