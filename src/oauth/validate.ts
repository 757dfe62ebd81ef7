/** POST /api/oauth/validate: lets the holder of a bearer token check it. Predates introspection and is kept for compatibility. */

import { Elysia } from 'elysia'
import { bearerToken } from '../http/authorization.ts'
import { noStoreJson } from '../http/json.ts'
import { readParams } from '../http/params.ts'
import { OAuthError } from '../lib/errors.ts'
import type { OAuthDeps } from './deps.ts'
import { verifyAccessToken } from './tokens.ts'

export const validate = (deps: OAuthDeps) =>
  new Elysia({ name: 'oauth-validate' }).post(
    '/api/oauth/validate',
    async ({ request }) => {
      const token = bearerToken(request) ?? (await readParams(request)).token
      try {
        const principal = await verifyAccessToken(deps, token ?? '')
        return noStoreJson({
          valid: true,
          clientId: principal.clientId,
          client_id: principal.clientId,
          ...(principal.userId ? { userId: principal.userId } : {}),
          scope: principal.scope.join(' '),
          resource: principal.audience,
          expiresAt: new Date(principal.expiresAt * 1000).toISOString(),
          exp: principal.expiresAt,
        })
      } catch (error) {
        if (!(error instanceof OAuthError)) throw error
        return noStoreJson({ valid: false, error: 'invalid_token' }, 401, {
          'WWW-Authenticate': 'Bearer error="invalid_token"',
        })
      }
    },
    { parse: 'none' },
  )
