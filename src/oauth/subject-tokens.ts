/** Tokens that tell the authorization server of another service who a caller is, for token exchange (RFC 8693). */
import { randomUUID } from 'node:crypto'
import type { OAuthDeps } from './deps.ts'
import { signOtherJwt } from './keys.ts'

/** The user, or the machine, that a token is about. */
export interface TokenSubject {
  clientId: string
  user?: { id: string; email: string }
}

/** Long enough for one request, with some clock skew. */
const LIFETIME_S = 120

/**
 * Issues subject tokens. They are not access tokens: no endpoint of ours accepts one.
 *
 * @returns a function whose `audience` is the issuer identifier of the authorization server that a token is for.
 */
export function subjectTokens({ config, memory, now }: Pick<OAuthDeps, 'config' | 'memory' | 'now'>) {
  return ({ clientId, user }: TokenSubject, audience: string): string => {
    const issuedAt = Math.floor(now().getTime() / 1000)
    const claims = {
      iss: config.BASE_URL,
      aud: audience,
      ...(user ? { sub: user.id, email: user.email } : { sub: clientId, client_id: clientId }),
      iat: issuedAt,
      exp: issuedAt + LIFETIME_S,
      jti: randomUUID(),
    }
    return signOtherJwt(memory.keys, claims, now())
  }
}
