/**
 * An upstream's lists: all pages up to a limit, without items that cannot be used safely. Items stay as the upstream sent
 * them.
 */
import { createHash } from 'node:crypto'
import { isObject } from './messages.ts'
import { declaredHeaders, type ParamHeader } from './param-headers.ts'

export type Kind = 'tools' | 'prompts' | 'resources' | 'resourceTemplates'

export const KINDS = ['tools', 'prompts', 'resources', 'resourceTemplates'] as const satisfies readonly Kind[]

interface KindOfList {
  method: string
  /** The capability that announces the list. */
  capability: 'tools' | 'prompts' | 'resources'
  /** The member that identifies an item. */
  key: 'name' | 'uri' | 'uriTemplate'
}

export const LISTS: Readonly<Record<Kind, KindOfList>> = {
  tools: { method: 'tools/list', capability: 'tools', key: 'name' },
  prompts: { method: 'prompts/list', capability: 'prompts', key: 'name' },
  resources: { method: 'resources/list', capability: 'resources', key: 'uri' },
  resourceTemplates: { method: 'resources/templates/list', capability: 'resources', key: 'uriTemplate' },
}

const BY_METHOD: ReadonlyMap<string, Kind> = new Map(KINDS.map(kind => [LISTS[kind].method, kind]))
export const kindOfMethod = (method: string): Kind | undefined => BY_METHOD.get(method)

export type Item = Record<string, unknown>

export interface Entry {
  /** Name or URI at the upstream. */
  key: string
  item: Item
  /** Tools, 2026: the arguments that are repeated as headers. */
  headers: readonly ParamHeader[]
}

export interface Catalogue {
  kind: Kind
  /** By name or URI, in the upstream's order. */
  entries: ReadonlyMap<string, Entry>
}

const DEEPEST = 64
const LONGEST_NAME = 256
const LONGEST_URI = 8_192
const FORBIDDEN: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])
/** Limits lists whose pages have few or no items. */
const MOST_PAGES = 1_000

/** The usable items of one page or of a stored list; `leaveOut` is called for each of the others. */
export function admit(kind: Kind, items: readonly unknown[], leaveOut: (key: string, why: string) => void): Entry[] {
  const { key: member } = LISTS[kind]
  const entries: Entry[] = []
  for (const item of items) {
    const key = isObject(item) ? item[member] : undefined
    if (!isObject(item) || typeof key !== 'string') {
      leaveOut('', `has no ${member}`)
      continue
    }
    const verdict = judge(kind, key, item)
    if (typeof verdict === 'string') leaveOut(key, verdict)
    else entries.push({ key, item, headers: verdict })
  }
  return entries
}

function judge(kind: Kind, key: string, item: Item): string | readonly ParamHeader[] {
  const longest = kind === 'tools' || kind === 'prompts' ? LONGEST_NAME : LONGEST_URI
  if (key === '' || key.length > longest) return `has a name of ${key.length} characters`
  if (!isPrintable(key) || !key.isWellFormed() || FORBIDDEN.has(key)) return 'has a name that cannot be used'
  if (isDeeperThan(item, DEEPEST)) return `is nested deeper than ${DEEPEST}`
  if (kind !== 'tools') return []
  if (!isObject(item.inputSchema) || item.inputSchema.type !== 'object') return 'has no input schema of type object'
  const declared = declaredHeaders(item.inputSchema)
  return 'problem' in declared ? declared.problem : declared.headers
}

const isPrintable = (text: string): boolean => !/\p{Cc}/u.test(text)

export function isDeeperThan(value: unknown, limit: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (limit === 0) return true
  for (const key in value) if (isDeeperThan((value as Record<string, unknown>)[key], limit - 1)) return true
  return false
}

/**
 * Fetches all pages of a list.
 *
 * @param page Fetches one page; an error ends the listing.
 * @param most Maximum number of items; the rest is cut off.
 * @param warn Called with what was left out or cut off, for the operator.
 */
export async function fetchAll(
  kind: Kind,
  page: (cursor: string | undefined) => Promise<Record<string, unknown>>,
  most: number,
  warn: (words: string) => void,
): Promise<Catalogue> {
  const entries = new Map<string, Entry>()
  const left: string[] = []
  const leaveOut = (key: string, why: string) => left.push(`${JSON.stringify(key.slice(0, 80))} ${why}`)
  const cursors = new Set<string>()
  let cut = 0
  for (let cursor: string | undefined, pages = 0; ; ) {
    const result = await page(cursor)
    const items = Array.isArray(result[kind]) ? (result[kind] as unknown[]) : []
    // Items beyond the limit are not even checked: a page may have a hundred thousand.
    const room = most - entries.size
    cut += Math.max(0, items.length - room)
    for (const entry of admit(kind, items.slice(0, room), leaveOut)) {
      if (entries.has(entry.key)) leaveOut(entry.key, 'is listed twice')
      else entries.set(entry.key, entry)
    }
    const { nextCursor } = result
    if (typeof nextCursor !== 'string') break
    if (entries.size >= most || ++pages >= MOST_PAGES || cursors.has(nextCursor)) {
      warn(
        `lists more than ${entries.size} ${kind}; the rest is cut off${cut > 0 ? `, about ${cut} of this page` : ''}`,
      )
      return finish()
    }
    cursors.add(nextCursor)
    cursor = nextCursor
  }
  if (cut > 0) warn(`lists about ${entries.size + cut} ${kind}; all but the first ${entries.size} are cut off`)
  return finish()

  function finish(): Catalogue {
    if (left.length > 0) warn(`${left.length} ${kind} are left out: ${left.slice(0, 10).join('; ')}`)
    return { kind, entries }
  }
}

/** The items of a catalogue, for the database; {@link catalogueOf} is the inverse. */
export const itemsOf = (catalogue: Catalogue): Item[] => [...catalogue.entries.values()].map(({ item }) => item)

export function catalogueOf(kind: Kind, items: readonly unknown[]): Catalogue {
  return { kind, entries: new Map(admit(kind, items, () => {}).map(entry => [entry.key, entry])) }
}

/** What an agent bases its decisions on, as JSON; `null` for what is missing. */
export function textOf({ name, title, description, inputSchema, outputSchema, annotations }: Item): string {
  return canonical([name, title ?? null, description ?? null, inputSchema, outputSchema ?? null, annotations ?? null])
}

/** Hash of {@link textOf}; a change is logged or blocked (`onChange`). */
export const fingerprintOf = (text: string): string => createHash('sha256').update(text).digest('hex')

/** JSON with sorted members, so that their order does not matter. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    isObject(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  )
}
