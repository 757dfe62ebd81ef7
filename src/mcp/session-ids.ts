/**
 * Session ids for the 2025 revisions. An id carries, in sealed form, everything that a replica needs to continue a session
 * it has never seen, so a session survives a restart and works on any replica. The id grants nothing by itself: the
 * request also needs a token of the same user, client and grant.
 */
import { createHash, randomBytes } from 'node:crypto'
import { isObject } from '../gateway/messages.ts'
import { LEGACY_REVISIONS } from '../gateway/protocol.ts'
import { seal, unseal } from '../lib/crypto.ts'
import { printableText } from '../lib/text.ts'
import type { Principal } from '../oauth/principal.ts'
import { ownerOf } from './caller.ts'
import type { Hello } from './conversation.ts'

type Json = Record<string, unknown>

/** Maximum length of an id: proxies and clients accept headers of this length. */
const MAX_LENGTH = 1024
/** Maximum length of a client's name and of its version, in characters. */
const MAX_NAME = 48

export interface SessionId {
  /** Identifies the session in logs and revocations, without being usable as an id. */
  key: string
  hello: Hello
}

/** Creates a session id. @param endpoint Undefined: the hub. */
export function sealSession(secret: Uint8Array, owner: Principal, endpoint: string | undefined, hello: Hello) {
  const key = randomBytes(12).toString('base64url')
  const { name, version } = hello.clientInfo
  const text = (value: unknown) => printableText(String(value ?? ''), MAX_NAME)
  const clientInfo = { name: text(name), version: text(version) }
  // If the client's capabilities are too large, keep only the standard ones, first with and then without their settings.
  const named = Object.fromEntries(
    ['elicitation', 'sampling', 'roots'].flatMap(one => entryOf(hello.capabilities, one)),
  )
  const bare = Object.fromEntries(Object.keys(named).map(one => [one, {}]))
  for (const capabilities of [hello.capabilities, named, bare]) {
    const content = [key, ownerHash(owner), endpoint ?? '', hello.revision, clientInfo, capabilities]
    const id = seal(secret, JSON.stringify(content)).toString('base64url')
    if (id.length <= MAX_LENGTH) return { id, key, hello: { revision: hello.revision, clientInfo, capabilities } }
  }
  throw new Error('the session does not fit into an id')
}

/** Opens a session id. @returns undefined unless it is ours, of this owner, and for this endpoint. */
export function openSession(
  secret: Uint8Array,
  id: string,
  owner: Principal,
  endpoint: string | undefined,
): SessionId | undefined {
  if (id.length > MAX_LENGTH) return undefined
  const sealed = Buffer.from(id, 'base64url')
  // Accept only the canonical encoding, or one session could be kept several times.
  if (sealed.length < 28 || sealed.toString('base64url') !== id) return undefined
  let content: unknown
  try {
    content = JSON.parse(unseal(secret, sealed))
  } catch {
    return undefined // forged, or sealed with another secret
  }
  if (!Array.isArray(content)) return undefined
  const [key, hash, at, revision, clientInfo, capabilities] = content as unknown[]
  if (typeof key !== 'string' || hash !== ownerHash(owner) || at !== (endpoint ?? '')) return undefined
  if (typeof revision !== 'string' || !LEGACY_REVISIONS.has(revision)) return undefined
  if (!isObject(clientInfo) || !isObject(capabilities)) return undefined
  return { key, hello: { revision, clientInfo, capabilities } }
}

const entryOf = (capabilities: Json, name: string): [string, unknown][] =>
  isObject(capabilities[name]) ? [[name, capabilities[name]]] : []

function ownerHash(owner: Principal): string {
  return createHash('sha256').update(ownerOf(owner)).digest('base64url')
}
