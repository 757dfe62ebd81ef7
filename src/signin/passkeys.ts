/**
 * Passkeys (WebAuthn Level 3): adding one to a signed-in user, and signing in without typing a name. Each challenge is bound
 * to the browser by a signed cookie and used once. Only the owner of @simplewebauthn/server.
 */
import { randomBytes } from 'node:crypto'
import type {
  AuthenticationResponseJSON,
  AuthenticatorTransport,
  RegistrationResponseJSON,
} from '@simplewebauthn/server'
import { z } from 'zod'
import {
  deletePasskey,
  findPasskey,
  hasIdentity,
  insertPasskey,
  type PasskeyRow,
  listPasskeys as queryPasskeys,
  renamePasskey as updateName,
  usePasskey,
} from '../../sql/passkeys.ts'
import { useAssertion } from '../../sql/used-assertions.ts'
import { record, recordRepeatable } from '../audit/events.ts'
import type { Base } from '../base.ts'
import { readCookie, setCookie } from '../http/cookies.ts'
import { hashSecret, hmac, sameBytes } from '../lib/crypto.ts'
import { AppError } from '../lib/errors.ts'
import { printableText } from '../lib/text.ts'

export type { PasskeyRow } from '../../sql/passkeys.ts'

/** Loaded on first use, since a server without passkeys never needs it. It needs the polyfill to be loaded first. */
async function library() {
  await import('reflect-metadata')
  return import('@simplewebauthn/server')
}

/** How long a person may take, in seconds. */
const SECONDS = 300
const COOKIE = 'passkey'
const MOST = 20
export const MAX_PASSKEY_NAME = 60

/** The party that passkeys are for: the host of the public address. They work nowhere else. */
const partyOf = ({ config }: Base) => new URL(config.BASE_URL).hostname

interface Options {
  options: object
  /** The Set-Cookie header value that binds the challenge to the browser. */
  cookie: string
}

/** The options with which a browser makes a passkey for a user. */
export async function registrationOptions(
  base: Base,
  user: { userId: string; email: string; name: string },
  sessionHash: Uint8Array,
): Promise<Options> {
  const challenge = randomBytes(32)
  const known = await queryPasskeys(base.sql, user.userId)
  const { generateRegistrationOptions } = await library()
  const options = await generateRegistrationOptions({
    rpName: base.config.SITE_NAME ?? partyOf(base),
    rpID: partyOf(base),
    userID: Buffer.from(user.userId.replaceAll('-', ''), 'hex'),
    userName: user.email,
    userDisplayName: user.name || user.email,
    challenge,
    timeout: SECONDS * 1000,
    attestationType: 'none',
    excludeCredentials: known.map(descriptorOf),
    authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
  })
  return { options, cookie: challengeCookie(base, challenge, registering(sessionHash)) }
}

/** The options with which a browser offers its passkeys for this server. */
export async function authenticationOptions(base: Base): Promise<Options> {
  const challenge = randomBytes(32)
  const { generateAuthenticationOptions } = await library()
  const options = await generateAuthenticationOptions({
    rpID: partyOf(base),
    challenge,
    timeout: SECONDS * 1000,
    userVerification: 'required',
  })
  return { options, cookie: challengeCookie(base, challenge, SIGNING_IN) }
}

const descriptorOf = ({ id, transports }: PasskeyRow) => ({
  id,
  transports: transports as AuthenticatorTransport[],
})

const text = z.string().max(20_000)
const credentialSchema = z.object({
  id: z.string().regex(/^[A-Za-z0-9_-]{1,1400}$/),
  rawId: text,
  type: z.literal('public-key'),
  authenticatorAttachment: text.optional(),
  clientExtensionResults: z.record(z.string(), z.unknown()),
  response: z.looseObject({ clientDataJSON: text }),
})

/** @throws AppError if it is not what a browser sends. */
function readCredential(json: string): z.output<typeof credentialSchema> {
  try {
    return credentialSchema.parse(JSON.parse(json))
  } catch {
    throw refused('not a credential')
  }
}

/**
 * Adds the passkey that a browser has made.
 *
 * @throws AppError if it is not for this server, this session and this challenge, or the user has too many.
 */
export async function addPasskey(
  base: Base,
  request: Request,
  { userId, sessionHash, ip }: { userId: string; sessionHash: Uint8Array; ip: string | null },
  { credential, name: asked }: { credential: string; name: string },
): Promise<string> {
  const response = readCredential(credential)
  const challenge = readChallenge(base, request, registering(sessionHash))
  const { verifyRegistrationResponse } = await library()
  const verified = await verifyRegistrationResponse({
    response: response as unknown as RegistrationResponseJSON,
    expectedChallenge: challenge,
    expectedOrigin: base.config.BASE_URL,
    expectedRPID: partyOf(base),
    requireUserVerification: true,
  }).catch(error => {
    throw refused((error as Error).message)
  })
  if (!verified.verified) throw refused('not verified')
  await consume(base, challenge)
  const { credential: made, credentialBackedUp } = verified.registrationInfo
  const name = printableText(asked, MAX_PASSKEY_NAME) || 'Passkey'
  const passkey = {
    id: made.id,
    userId,
    publicKey: made.publicKey,
    counter: made.counter,
    transports: made.transports ?? [],
    name,
    backedUp: credentialBackedUp,
    now: base.now(),
  }
  if (!(await insertPasskey(base.sql, passkey, MOST)))
    throw new AppError('The passkey was not added', `It is known already, or you have ${MOST}: remove one first.`, {
      status: 409,
    })
  record(base, 'passkey.added', { userId, ip, detail: { name } })
  return name
}

/**
 * Finds the user whose passkey has signed this browser's challenge.
 *
 * @throws AppError 403 if there is none, with one message for all reasons.
 */
export async function verifyPasskey(
  base: Base,
  request: Request,
  credential: string,
  ip: string | null,
): Promise<{ userId: string }> {
  try {
    return await verify(base, request, credential)
  } catch (error) {
    if (error instanceof AppError) recordRepeatable(base, 'user.refused', { ip, detail: { how: 'passkey' } }, 'passkey')
    throw error
  }
}

async function verify(base: Base, request: Request, json: string): Promise<{ userId: string }> {
  const response = readCredential(json)
  const challenge = readChallenge(base, request, SIGNING_IN)
  const passkey = await findPasskey(base.sql, response.id)
  if (!passkey) throw refused('unknown passkey')
  const { verifyAuthenticationResponse } = await library()
  const { verified, authenticationInfo } = await verifyAuthenticationResponse({
    response: response as unknown as AuthenticationResponseJSON,
    expectedChallenge: challenge,
    expectedOrigin: base.config.BASE_URL,
    expectedRPID: partyOf(base),
    requireUserVerification: true,
    credential: {
      id: passkey.id,
      publicKey: new Uint8Array(passkey.public_key),
      counter: passkey.counter,
      transports: passkey.transports as AuthenticatorTransport[],
    },
  }).catch(error => {
    throw refused((error as Error).message)
  })
  if (!verified) throw refused('a wrong signature')
  await consume(base, challenge)
  const user = await usePasskey(base.sql, {
    id: passkey.id,
    counter: passkey.counter,
    newCounter: authenticationInfo.newCounter,
    backedUp: authenticationInfo.credentialBackedUp,
    now: base.now(),
  })
  if (!user) throw refused('its user is disabled, or it was used at the same time')
  return { userId: user.user_id }
}

function refused(detail: string): AppError {
  return new AppError(
    'The passkey was not accepted',
    'Start again. If this passkey belongs to another server or was removed here, sign in another way.',
    { status: 403, detail: `passkey: ${detail.slice(0, 300)}` },
  )
}

export function listPasskeys({ sql }: Base, userId: string): Promise<PasskeyRow[]> {
  return queryPasskeys(sql, userId)
}

/** @returns whether the user has this passkey. */
export function renamePasskey({ sql }: Base, passkey: { id: string; userId: string; name: string }): Promise<boolean> {
  return updateName(sql, { ...passkey, name: printableText(passkey.name, MAX_PASSKEY_NAME) || 'Passkey' })
}

/**
 * Removes a passkey of a user, but never their last way to sign in.
 *
 * @param hasProviders Whether this server has a sign-in provider.
 * @returns its name; undefined if it was not removed.
 */
export async function removePasskey(
  base: Base,
  { id, userId, hasProviders }: { id: string; userId: string; hasProviders: boolean },
): Promise<string | undefined> {
  const evenLast = hasProviders && (await hasIdentity(base.sql, userId))
  const name = await deletePasskey(base.sql, { id, userId, evenLast })
  if (name !== undefined) record(base, 'passkey.removed', { userId, detail: { name } })
  return name
}

const SIGNING_IN = 'sign in'
const registering = (sessionHash: Uint8Array) => `add ${Buffer.from(sessionHash).toString('base64')}`

function challengeCookie(base: Base, bytes: Buffer, purpose: string): string {
  const challenge = bytes.toString('base64url')
  const until = Math.floor(base.now().getTime() / 1000) + SECONDS
  const value = `${challenge}.${until}.${sign(base, challenge, until, purpose)}`
  return setCookie(base.config, COOKIE, value, SECONDS)
}

/** The challenge that this browser was given for this purpose. @throws AppError if there is none. */
function readChallenge(base: Base, request: Request, purpose: string): string {
  const [challenge = '', until = '', signature = ''] = readCookie(base.config, request, COOKIE)?.split('.') ?? []
  const expected = sign(base, challenge, Number(until), purpose)
  if (!sameBytes(Buffer.from(expected), Buffer.from(signature))) throw refused('no challenge')
  if (Number(until) * 1000 <= base.now().getTime()) throw refused('an old challenge')
  return challenge
}

/** @throws AppError if the challenge was used before. */
async function consume(base: Base, challenge: string): Promise<void> {
  const expiresAt = new Date(base.now().getTime() + SECONDS * 1000)
  if (!(await useAssertion(base.sql, { idHash: hashSecret(`passkey ${challenge}`), expiresAt })))
    throw refused('a used challenge')
}

function sign({ secrets }: Base, challenge: string, until: number, purpose: string): string {
  return hmac(secrets.csrf, `passkey ${challenge} ${until} ${purpose}`).toString('base64url')
}

/** @returns the Set-Cookie header value that forgets the challenge. */
export const withoutChallenge = ({ config }: Base): string => setCookie(config, COOKIE, '', 0)
