/**
 * The keys that sign access tokens: generated, sealed with AUTH_SECRET, rotated, and published as a JWK set (RFC 7517).
 * Signing and verifying use `node:crypto` directly: jose is asynchronous and a third slower, every token passes through
 * here, and since there is only one format, nothing else of a library would be used.
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

/** How long the key set may be cached, in seconds. A new key is published for that long before it signs. */
export const KEY_SET_SECONDS = 300

interface SigningKey {
  kid: string
  privateKey: KeyObject
  header: string
  /** Milliseconds since 1970. */
  signsAt: number
}

/** The keys of the database, loaded into memory. */
export interface KeyRing {
  /** Newest first; the first whose `signsAt` has passed signs. */
  signing: SigningKey[]
  /** For verification, by `kid`. */
  publicKeys: Map<string, KeyObject>
  /** The published key set. */
  jwks: { keys: Record<string, string>[] }
}

/**
 * Loads the keys, and creates the first one in a new database.
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

/** The keys that are published now, the newest first. */
export function listPublishedKeys(deps: Base): Promise<SigningKeyRow[]> {
  return listSigningKeys(deps.sql, retiredAfter(deps))
}

/**
 * Creates a new key, which signs as soon as every cached key set contains it. The others then retire, and stay published
 * until their last token has expired.
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

/** Creates a new key, which signs at once, and drops the others: every access token that they signed is refused. */
export async function replaceKeys(deps: Base, rememberUntil: Date): Promise<{ kid: string; dropped: string[] }> {
  const key = await newKey(deps, deps.now())
  const dropped = await inTransaction(deps, async sql => {
    await lockSigningKeys(sql)
    await insertSigningKey(sql, key)
    return dropSigningKeys(sql, { except: key.kid, now: deps.now(), rememberUntil })
  })
  return { kid: key.kid, dropped: dropped.map(({ kid }) => kid) }
}

/** Signs claims with ES256, as a JWT of type `at+jwt` (RFC 9068 2.1). */
export function signJwt(keys: KeyRing, claims: object, now: Date): string {
  const key = signingKey(keys, now)
  return signWith(key, key.header, claims)
}

/** Signs claims with ES256, as a JWT that is not an access token: {@link verifyJwt} refuses it. */
export function signOtherJwt(keys: KeyRing, claims: object, now: Date): string {
  const key = signingKey(keys, now)
  return signWith(key, headerOf('JWT', key.kid), claims)
}

function signWith({ privateKey }: SigningKey, header: string, claims: object): string {
  const input = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`
  const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

/** The newest key whose `signsAt` has passed; if there is none, for instance after the clock was set back, the oldest. */
export function signingKey({ signing }: KeyRing, now: Date): SigningKey {
  return signing.find(key => key.signsAt <= now.getTime()) ?? signing.at(-1)!
}

/**
 * Verifies the signature of a JWT. Only `kid`, `alg` and `typ` of the header are used, and the last two must be ours
 * (RFC 8725 3.1, 3.11). Does not check expiry, issuer or audience.
 *
 * @returns the claims and the key's id; undefined if it was not signed by one of our keys.
 */
export function verifyJwt(keys: KeyRing, token: string): { claims: Record<string, unknown>; kid: string } | undefined {
  const [head, body, signature, more] = token.split('.')
  if (!head || !body || !signature || more !== undefined) return undefined
  const header = parseJson(head)
  const kid = typeof header?.kid === 'string' ? header.kid : ''
  const key = keys.publicKeys.get(kid)
  if (!key || header?.alg !== 'ES256' || header.typ !== 'at+jwt' || header.crit !== undefined) return undefined
  const bytes = Buffer.from(signature, 'base64url')
  // Accept only the canonical base64url encoding that we issue.
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

/** Retired keys stay published until the last token that they signed has expired. */
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

function headerOf(typ: string, kid: string): string {
  return Buffer.from(JSON.stringify({ alg: 'ES256', typ, kid })).toString('base64url')
}

function openKey(deps: Base, { kid, private_key, signs_at }: SigningKeyRow): SigningKey {
  const header = headerOf('at+jwt', kid)
  try {
    const privateKey = createPrivateKey(unseal(deps.secrets.signingKeys, private_key))
    return { kid, privateKey, header, signsAt: signs_at.getTime() }
  } catch {
    throw new UsageError(
      deps.db.embedded
        ? `AUTH_SECRET is not the secret that this data directory was created with; unset it to use the one in ${deps.config.DATA_DIR}/auth-secret, or set the old one`
        : 'AUTH_SECRET is not the secret that sealed the signing keys of this database; set the old one, or delete the rows of signing_keys, which invalidates all access tokens',
    )
  }
}
