import { createCipheriv, createDecipheriv, createHmac, hash, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'

/** The kinds of opaque secrets that we issue. The prefix identifies the table, and lets scanners find leaks. */
export const SECRET_KINDS = {
  refreshToken: 'mrt',
  deviceCode: 'mdc',
  authorizationCode: 'mac',
  session: 'mse',
  signInLink: 'mln',
  clientSecret: 'mcs',
  registrationToken: 'mra',
  personalToken: 'mpt',
} as const

export type SecretKind = keyof typeof SECRET_KINDS

/** A new secret: the kind's prefix, `_`, and 256 random bits. Base64url alphabet only, so un-encoded HTTP Basic works. */
export function newSecret(kind: SecretKind): string {
  return `${SECRET_KINDS[kind]}_${randomBytes(32).toString('base64url')}`
}

/** Whether a string has the form of a secret of this kind; it may never have been issued. */
export function isSecret(kind: SecretKind, value: string): boolean {
  return value.length === 47 && value.startsWith(`${SECRET_KINDS[kind]}_`)
}

/** SHA-256 of a secret, which is what the database stores. Secrets have 256 random bits, so no slow hash is needed. */
export function hashSecret(value: string): Buffer {
  return hash('sha256', value, 'buffer')
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

/** A 256-bit key for one purpose, derived from the configured secret (RFC 5869), so that no key serves two purposes. */
export function deriveKey(secret: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, 'mcp-oauth-server', purpose, 32))
}

export function hmac(key: Uint8Array, message: string): Buffer {
  return createHmac('sha256', key).update(message).digest()
}

/** AES-256-GCM: 12 bytes nonce, ciphertext, 16 bytes tag. @param about What it belongs to, which must be given again to unseal it. */
export function seal(key: Uint8Array, plaintext: string, about = ''): Buffer {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(Buffer.from(about))
  return Buffer.concat([nonce, cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()])
}

/** Reverses {@link seal}. @throws if the key or the context is different, or the bytes were modified. */
export function unseal(key: Uint8Array, sealed: Uint8Array, about = ''): string {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12))
  decipher.setAAD(Buffer.from(about))
  decipher.setAuthTag(sealed.subarray(-16))
  return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]).toString('utf8')
}
