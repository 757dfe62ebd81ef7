/**
 * The keys that sign access tokens: made, sealed with AUTH_SECRET, rotated, and published as a JWK set (RFC 7517). Signing and
 * verifying are a few lines of our own over `node:crypto`, because jose is asynchronous and a third slower, and every token
 * passes here; the format is one, our own, so nothing else of a library would be used.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import { calculateJwkThumbprint } from 'jose'
import {
  dropSigningKeys,
  insertSigningKey,
  listSigningKeys,
  lockSigningKeys,
  retireSigningKeys,
  type SigningKeyRow,
} from '../../sql/signing-keys.ts'
import type { Base } from '../base.ts'
import { inTransaction } from '../db/index.ts'
import { seal, unseal } from '../lib/crypto.ts'
import { UsageError } from '../lib/errors.ts'

/** How long others may cache the key set, in seconds. A new key is in it for that long before it signs. */
export const KEY_SET_SECONDS = 300

interface SigningKey {
  kid: string
  privateKey: KeyObject
  header: string
  /** Milliseconds since 1970. */
  signsAt: number
}

/** What a process holds of the keys in the database. */
export interface KeyRing {
  /** The newest first; the first whose time has come signs. */
  signing: SigningKey[]
  /** Verify, by `kid`. */
  publicKeys: Map<string, KeyObject>
  /** The published key set. */
  jwks: { keys: Record<string, string>[] }
}

/**
 * Loads the keys, and makes the first one of a new database.
 *
 * @throws UsageError if the keys were sealed with another AUTH_SECRET.
 */
export async function loadKeys(deps: Base): Promise<KeyRing> {
  let rows = await listSigningKeys(deps.sql, retiredAfter(deps))
  if (!rows.some(row => row.retired_at === null)) {
    rows = await inTransaction(deps, async sql => {
      await lockSigningKeys(sql)
      const present = await listSigningKeys(sql, retiredAfter(deps))
      if (present.some(row => row.retired_at === null)) return present
      await insertSigningKey(sql, await newKey(deps, deps.now()))
      return listSigningKeys(sql, retiredAfter(deps))
    })
  }
  return keyRing(deps, rows)
}

/**
 * Makes a new key, which signs as soon as every cached key set holds it. The others retire then, and stay published until
 * their last token has expired.
 */
export async function rotateKeys(deps: Base): Promise<{ kid: string; signsAt: Date }> {
  const signsAt = new Date(deps.now().getTime() + KEY_SET_SECONDS * 1000)
  const key = await newKey(deps, signsAt)
  await inTransaction(deps, async sql => {
    await lockSigningKeys(sql)
    await insertSigningKey(sql, key)
    await retireSigningKeys(sql, { except: key.kid, at: signsAt })
  })
  return { kid: key.kid, signsAt }
}

/** Makes a new key, which signs at once, and drops the others: every access token that they signed is refused. */
export async function replaceKeys(deps: Base, rememberUntil: Date): Promise<{ kid: string; dropped: string[] }> {
  const key = await newKey(deps, deps.now())
  const dropped = await inTransaction(deps, async sql => {
    await lockSigningKeys(sql)
    await insertSigningKey(sql, key)
    return dropSigningKeys(sql, { except: key.kid, now: deps.now(), rememberUntil })
  })
  return { kid: key.kid, dropped: dropped.map(({ kid }) => kid) }
}

/** Signs claims as a JWT of type `at+jwt` (RFC 9068 2.1) with ES256. */
export function signJwt(keys: KeyRing, claims: object, now: Date): string {
  const { header, privateKey } = signingKey(keys, now)
  const input = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`
  const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

/** The newest key whose time has come; the oldest if no key's has, as after a clock was set back. */
export function signingKey({ signing }: KeyRing, now: Date): SigningKey {
  return signing.find(key => key.signsAt <= now.getTime()) ?? signing.at(-1)!
}

/**
 * The claims of a JWT that one of our keys has signed, and which key. Only `kid`, `alg` and `typ` of the header are used, and the last
 * two must be ours (RFC 8725 3.1, 3.11). Says nothing about expiry, issuer or audience.
 */
export function verifyJwt(keys: KeyRing, token: string): { claims: Record<string, unknown>; kid: string } | undefined {
  const [head, body, signature, more] = token.split('.')
  if (!head || !body || !signature || more !== undefined) return undefined
  const header = parseJson(head)
  const kid = typeof header?.kid === 'string' ? header.kid : ''
  const key = keys.publicKeys.get(kid)
  if (!key || header?.alg !== 'ES256' || header.typ !== 'at+jwt' || header.crit !== undefined) return undefined
  const bytes = Buffer.from(signature, 'base64url')
  // Only the spelling that we issue: without padding, of this alphabet, with no bits left over.
  if (bytes.length !== 64 || bytes.toString('base64url') !== signature) return undefined
  const good = verify('sha256', Buffer.from(`${head}.${body}`), { key, dsaEncoding: 'ieee-p1363' }, bytes)
  const claims = good ? parseJson(body) : undefined
  return claims && { claims, kid }
}

function parseJson(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** A retired key is published for as long as a token could live that it signed just before. */
function retiredAfter(deps: Base): Date {
  return new Date(deps.now().getTime() - (deps.config.ACCESS_TOKEN_TTL + 300) * 1000)
}

async function newKey(deps: Base, signsAt: Date) {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { kty, crv, x, y } = publicKey.export({ format: 'jwk' }) as Record<string, string>
  const kid = await calculateJwkThumbprint({ kty: kty!, crv: crv!, x: x!, y: y! })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  return {
    kid,
    publicJwk: { kty: kty!, crv: crv!, x: x!, y: y!, kid, use: 'sig', alg: 'ES256' },
    privateKey: seal(deps.secrets.signingKeys, pem),
    now: deps.now(),
    signsAt,
  }
}

function keyRing(deps: Base, rows: SigningKeyRow[]): KeyRing {
  return {
    signing: rows.filter(row => row.retired_at === null || row.retired_at > deps.now()).map(row => openKey(deps, row)),
    publicKeys: new Map(rows.map(row => [row.kid, createPublicKey({ key: row.public_jwk, format: 'jwk' })])),
    jwks: { keys: rows.map(row => row.public_jwk) },
  }
}

function openKey(deps: Base, { kid, private_key, signs_at }: SigningKeyRow): SigningKey {
  const header = Buffer.from(JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid })).toString('base64url')
  try {
    const privateKey = createPrivateKey(unseal(deps.secrets.signingKeys, private_key))
    return { kid, privateKey, header, signsAt: signs_at.getTime() }
  } catch {
    throw new UsageError(
      deps.db.embedded
        ? `AUTH_SECRET is not the one that this data directory began with; unset it to use the one in ${deps.config.DATA_DIR}/auth-secret, or set the old one`
        : 'AUTH_SECRET is not the one that sealed the signing keys of this database; set the old one, or delete the rows of signing_keys to sign everybody out',
    )
  }
}
