/** The client and user that a valid access token authenticates. */
export interface Principal {
  /** {@link PERSONAL_TOKEN} for a personal access token. */
  clientId: string
  /** null for a machine, which acts for itself (client credentials). */
  userId: string | null
  /** The connection that ends as one: a grant, or a personal access token. */
  grantId: string | null
  tokenId: string
  /** The key that signed the token (RFC 7515 4.1.4); null if none did. */
  keyId: string | null
  scope: readonly string[]
  audience: string
  /** Seconds since 1970. */
  issuedAt: number
  expiresAt: number
}

/** Stands for the client where somebody uses a token of their own without one. No client has this id. */
export const PERSONAL_TOKEN = 'personal-token'

export function principalOf(claims: Record<string, unknown>, keyId: string): Principal {
  return {
    clientId: String(claims.client_id),
    userId: typeof claims.user_id === 'string' ? claims.user_id : null,
    grantId: typeof claims.grant_id === 'string' ? claims.grant_id : null,
    tokenId: String(claims.jti),
    keyId,
    scope: String(claims.scope).split(' '),
    audience: String(claims.aud),
    issuedAt: Number(claims.iat),
    expiresAt: Number(claims.exp),
  }
}

/** Of the principals that are kept with their tokens, and checked at every request. */
const subjectsOf = new WeakMap<Principal, readonly string[]>()

/** The subjects whose revocation ends this principal's token. */
export function revocableSubjects(principal: Principal): readonly string[] {
  let subjects = subjectsOf.get(principal)
  if (!subjects) {
    const { tokenId, clientId, keyId, grantId } = principal
    const named = { token: tokenId, client: clientId, key: keyId, grant: grantId }
    subjects = Object.entries(named).flatMap(([kind, id]) => (id ? [`${kind}:${id}`] : []))
    subjectsOf.set(principal, subjects)
  }
  return subjects
}
