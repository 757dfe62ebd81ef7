/**
 * Names and URIs in the hub: prefixed with their upstream, restricted to what models and clients accept, independent of
 * any order, and reversible.
 */
import { createHash } from 'node:crypto'
import { isObject } from './messages.ts'

const LONGEST = 64
const HASH = 6

export interface Named {
  upstream: string
  /** Name at the upstream. */
  name: string
}

/**
 * Hub names of tools or prompts: `{upstream}__{name}`. A name longer than 64 characters or a duplicate gets the suffix
 * `_` and a hash; of duplicates, the one that needed no character replaced keeps the plain name.
 */
export function nameInHub(all: Iterable<Named>): Map<string, Named> {
  const claims = new Map<string, { named: Named; exact: boolean }[]>()
  for (const named of all) {
    const written = `${named.upstream}__${named.name}`
    const plain = written.replace(/[^A-Za-z0-9_-]/g, '_')
    const claim = { named, exact: plain === written }
    const others = claims.get(plain)
    if (others) others.push(claim)
    else claims.set(plain, [claim])
  }
  const names = new Map<string, Named>()
  for (const [plain, claimants] of claims) {
    const exact = claimants.filter(claim => claim.exact)
    const owner = claimants.length === 1 ? claimants[0] : exact.length === 1 ? exact[0] : undefined
    for (const claim of claimants) {
      const fits = claim === owner && plain.length <= LONGEST
      names.set(fits ? plain : withHash(plain, claim.named), claim.named)
    }
  }
  return names
}

function withHash(plain: string, { upstream, name }: Named): string {
  return `${plain.slice(0, LONGEST - HASH - 1)}_${hash(`${upstream}\0${name}`)}`
}

const hash = (text: string): string =>
  createHash('sha256').update(text).digest('base64url').replace(/[-_]/g, '').slice(0, HASH)

/** The scheme of an upstream's URIs in the hub (RFC 3986 3.1: no `_`, case-insensitive). */
export function schemeOf(upstream: string): string {
  if (/^[a-z0-9.-]+$/.test(upstream)) return `mcp+${upstream}`
  return `mcp+${upstream.toLowerCase().replace(/[^a-z0-9.-]/g, '-')}-${hash(upstream).toLowerCase()}`
}

/**
 * An upstream's URI (or template) in the hub: `file:///a` of `files` becomes `mcp+files://file////a`. The scheme becomes
 * the authority, so that a client that parses and rewrites the URI does not alter it. Without a scheme it is `_`.
 */
export function uriInHub(upstream: string, uri: string): string {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(uri)?.[1]
  return `${schemeOf(upstream)}://${scheme === undefined ? `_/${uri}` : `${scheme}/${uri.slice(scheme.length + 1)}`}`
}

/** @param bySchemes Upstreams by {@link schemeOf}. @returns undefined if it is not a URI of the hub. */
export function uriFromHub(uri: string, bySchemes: ReadonlyMap<string, string>): Named | undefined {
  const [, scheme, own, rest] = /^([^:/?#]+):\/\/([^/]*)\/(.*)$/s.exec(uri) ?? []
  const upstream = scheme === undefined ? undefined : bySchemes.get(scheme.toLowerCase())
  if (upstream === undefined) return undefined
  return { upstream, name: own === '_' ? rest! : `${own}:${rest}` }
}

/** Ids of tasks, which upstreams choose. Names of upstreams have no colon. */
export const taskInHub = (upstream: string, id: string): string => `${upstream}:${id}`

export function taskFromHub(id: string): Named | undefined {
  const [, upstream, name] = /^([^:]+):(.+)$/s.exec(id) ?? []
  return upstream === undefined ? undefined : { upstream, name: name! }
}

type Rename = (uri: string) => string

/** Renames the URIs in an upstream's result in place: those of resources, and `ui://` in `_meta`. */
export function mapResultUris(result: Record<string, unknown>, rename: Rename): void {
  mapMeta(result, rename)
  if (Array.isArray(result.content)) for (const block of result.content) mapBlock(block, rename)
  if (Array.isArray(result.messages))
    for (const message of result.messages) if (isObject(message)) mapBlocks(message.content, rename)
  if (Array.isArray(result.contents)) for (const item of result.contents) mapItem(item, 'uri', rename)
}

/** Renames the URIs in a list item in place. @param key The member that holds its URI; absent for tools and prompts. */
export function mapItem(item: unknown, key: 'uri' | 'uriTemplate' | undefined, rename: Rename): void {
  if (!isObject(item)) return
  mapMeta(item, rename)
  if (key !== undefined && typeof item[key] === 'string') item[key] = rename(item[key])
}

function mapBlocks(content: unknown, rename: Rename): void {
  if (Array.isArray(content)) for (const block of content) mapBlock(block, rename)
  else mapBlock(content, rename)
}

function mapBlock(block: unknown, rename: Rename): void {
  if (!isObject(block)) return
  mapMeta(block, rename)
  if (block.type === 'resource_link') mapItem(block, 'uri', rename)
  else if (block.type === 'resource') mapItem(block.resource, 'uri', rename)
}

const DEEPEST_META = 16

/** Apps name their pages in `_meta`, in different places (`ui.resourceUri`, `ui/resourceUri`). */
function mapMeta(owner: Record<string, unknown>, rename: Rename): void {
  if (isObject(owner._meta)) mapUi(owner._meta, rename, DEEPEST_META)
}

function mapUi(node: Record<string, unknown> | unknown[], rename: Rename, depth: number): void {
  for (const key in node) {
    const value = (node as Record<string, unknown>)[key]
    if (typeof value === 'string') {
      if (value.startsWith('ui://')) (node as Record<string, unknown>)[key] = rename(value)
    } else if (typeof value === 'object' && value !== null && depth > 0)
      mapUi(value as Record<string, unknown>, rename, depth - 1)
  }
}
