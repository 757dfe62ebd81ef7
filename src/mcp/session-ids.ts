/**
 * Ids of sessions of the 2025 revisions. An id carries, sealed, all that a replica needs to go on with a session that it
 * has never seen: so a session survives a restart, and any replica serves it. It opens nothing by itself: whoever brings
 * it also brings a token of the same user, client and grant.
 */
import { createHash, randomBytes } from 'node:crypto'
import { isObject } from '../gateway/messages.ts'
import { LEGACY_REVISIONS } from '../gateway/names.ts'
import { seal, unseal } from '../lib/crypto.ts'
import { printableText } from '../lib/text.ts'
import type { Principal } from '../oauth/principal.ts'
import { ownerOf } from './access.ts'
import type { Hello } from './conversation.ts'

type Json = Record<string, unknown>

/** Characters of an id: proxies and clients take headers of this length. */
const MAX_LENGTH = 1024
/** Of a client's name and version, in characters. */
const MAX_NAME = 48

export interface SessionId {
  /** What it is called where it is not to be used as an id. */
  key: string
  hello: Hello
}

/** @param endpoint Absent: the hub. */
export function sealSession(secret: Uint8Array, owner: Principal, endpoint: string | undefined, hello: Hello) {
  const key = randomBytes(12).toString('base64url')
  const { name, version } = hello.clientInfo
  const text = (value: unknown) => printableText(String(value ?? ''), MAX_NAME)
  const clientInfo = { name: text(name), version: text(version) }
  // A client with settings of its own to tell of is known by the capabilities that have names in the protocol.
  const named = Object.fromEntries(
    ['elicitation', 'sampling', 'roots'].flatMap(one => entryOf(hello.capabilities, one)),
  )
  const bare = Object.fromEntries(Object.keys(named).map(one => [one, {}]))
  for (const capabilities of [hello.capabilities, named, bare]) {
    const content = [key, ownerHash(owner), endpoint ?? '', hello.revision, clientInfo, capabilities]
    const id = seal(secret, JSON.stringify(content)).toString('base64url')
    if (id.length <= MAX_LENGTH) return { id, key, hello: { revision: hello.revision, clientInfo, capabilities } }
  }
  throw new Error('a session id has no room for what it must carry')
}

/** @returns nothing if it is not an id of ours, or not one of this owner at this endpoint. */
export function openSession(
  secret: Uint8Array,
  id: string,
  owner: Principal,
  endpoint: string | undefined,
): SessionId | undefined {
  if (id.length > MAX_LENGTH) return undefined
  const sealed = Buffer.from(id, 'base64url')
  // In no other spelling, or one session could be held many times.
  if (sealed.length < 28 || sealed.toString('base64url') !== id) return undefined
  let content: unknown
  try {
    content = JSON.parse(unseal(secret, sealed))
  } catch {
    return undefined // made by somebody else, or with another secret
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
