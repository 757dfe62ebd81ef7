/**
 * What the database stores about one upstream: its era, its last catalogue, and the fingerprints of its tools. Read once
 * and cached; without the database this knowledge is missing, but calls still work.
 */
import { createHash } from 'node:crypto'
import type { Queries } from '../../sql/index.ts'
import {
  deleteCatalogues,
  findCatalogues,
  findEra,
  findTools,
  type OfferedTool,
  offerTools,
  type ToolRow,
  upsertCatalogue,
  upsertEra,
} from '../../sql/upstreams.ts'
import { makeRoom } from '../lib/bounded.ts'
import type { Log } from '../lib/log.ts'
import type { UpstreamConfig } from './config.ts'
import type { ServerDescription, Speaks } from './era-detection.ts'
import { type Catalogue, catalogueOf, fingerprintOf, itemsOf, KINDS, type Kind, textOf } from './lists.ts'
import { isObject } from './messages.ts'

/** What is stored about one upstream, for one principal or for all. */
export interface Known {
  server?: ServerDescription
  lists: Map<Kind, Catalogue>
}

export interface Memory {
  /** Undefined if it was never detected, or more than a day ago. */
  era(): Promise<Speaks | undefined>
  rememberEra(speaks: Speaks): void
  /** @param principal Empty: shared by all. */
  known(principal: string): Promise<Known>
  /** What is in memory; does not query the database. */
  knownNow(principal: string): Known | undefined
  rememberServer(principal: string, server: ServerDescription): void
  /** Drops what is known for a principal, in the database too. */
  forget(principal: string): void
  /** @returns how it compares with the stored list. */
  rememberList(principal: string, catalogue: Catalogue): 'new' | 'changed' | 'same'
  /**
   * Compares tools with their stored fingerprints and stores new ones.
   *
   * @returns the names of changed tools that have not been accepted.
   * @throws if the database is unavailable and changes must be blocked.
   */
  judgeTools(principal: string, tools: Catalogue): Promise<ReadonlySet<string>>
}

const ERA_MS = 86_400_000
/** Principals per upstream whose lists are kept in memory. */
const MOST_PRINCIPALS = 1_000

/** Tools whose description, schema or annotations differ from what is stored. */
export interface ChangedTools {
  upstream: string
  tools: readonly string[]
  /** They are hidden until they are accepted. */
  blocked: boolean
}

interface MemoryDeps {
  sql: Queries
  log: Log
  now(): Date
  onToolsChanged(change: ChangedTools): void
}

export function openMemory(deps: MemoryDeps, config: UpstreamConfig): Memory {
  const { transport, name } = config
  const reachedHash = createHash('sha256')
    .update(JSON.stringify(transport.type === 'stdio' ? [transport.command, transport.args] : [transport.url]))
    .digest()
  const kept = new Map<string, { ready: Promise<Known>; known: Known | undefined }>()

  const write = (what: string, work: Promise<void>): void =>
    void work.catch(error => deps.log.warn({ upstream: name, err: { message: (error as Error).message } }, what))

  async function load(principal: string): Promise<Known> {
    const known: Known = { lists: new Map() }
    try {
      for (const { kind, content } of await findCatalogues(deps.sql, { upstream: name, principal, reachedHash })) {
        const value: unknown = JSON.parse(content)
        if (kind === 'server' && isObject(value)) known.server = value as unknown as ServerDescription
        const list = KINDS.find(candidate => candidate === kind)
        if (list && Array.isArray(value)) known.lists.set(list, catalogueOf(list, value))
      }
    } catch (error) {
      deps.log.warn({ upstream: name, err: { message: (error as Error).message } }, 'could not read a catalogue')
    }
    return known
  }

  function slotOf(principal: string) {
    let slot = kept.get(principal)
    if (!slot) {
      const made: { ready: Promise<Known>; known: Known | undefined } = { ready: load(principal), known: undefined }
      void made.ready.then(known => {
        made.known = known
      })
      slot = made
      makeRoom(kept, MOST_PRINCIPALS).set(principal, slot)
    }
    return slot
  }

  const store = (principal: string, kind: string, content: string) =>
    write(
      'could not store a catalogue',
      upsertCatalogue(deps.sql, { upstream: name, principal, reachedHash, kind, content, now: deps.now() }),
    )

  return {
    async era() {
      try {
        const row = await findEra(deps.sql, reachedHash)
        return row && deps.now().getTime() - row.found_at.getTime() < ERA_MS ? row.speaks : undefined
      } catch (error) {
        deps.log.warn({ upstream: name, err: { message: (error as Error).message } }, 'could not read an era')
        return undefined
      }
    },
    rememberEra: speaks =>
      write('could not store an era', upsertEra(deps.sql, { reachedHash, speaks, now: deps.now() })),
    known: principal => slotOf(principal).ready,
    knownNow: principal => kept.get(principal)?.known,
    forget(principal) {
      kept.delete(principal)
      write('could not forget a catalogue', deleteCatalogues(deps.sql, name, principal))
    },
    rememberServer(principal, server) {
      void slotOf(principal).ready.then(known => {
        const content = JSON.stringify(server)
        if (JSON.stringify(known.server) === content) return
        known.server = server
        store(principal, 'server', content)
      })
    },
    rememberList(principal, catalogue) {
      const slot = slotOf(principal)
      const content = JSON.stringify(itemsOf(catalogue))
      const before = slot.known?.lists.get(catalogue.kind)
      const same = before !== undefined && JSON.stringify(itemsOf(before)) === content
      void slot.ready.then(known => known.lists.set(catalogue.kind, catalogue))
      slot.known?.lists.set(catalogue.kind, catalogue)
      if (!same) store(principal, catalogue.kind, content)
      return same ? 'same' : before === undefined ? 'new' : 'changed'
    },
    async judgeTools(principal, tools) {
      const blocking = config.onChange === 'block'
      try {
        const rows = new Map((await findTools(deps.sql, name, principal)).map(row => [row.name, row]))
        const { changed, waiting, offered } = compare(rows, tools, blocking)
        const stored =
          offered.length > 0
            ? await offerTools(deps.sql, { upstream: name, principal, now: deps.now(), blocking, offered })
            : []
        for (const { name: tool, waits } of stored) {
          if (waits) waiting.add(tool)
          else waiting.delete(tool)
          // Another replica was the first to see it, and saw another.
          if (waits && !rows.has(tool)) changed.push(tool)
        }
        if (changed.length > 0) {
          const change = { upstream: name, tools: changed, blocked: blocking }
          deps.log.warn(change, 'tool descriptions have changed')
          deps.onToolsChanged(change)
        }
        return waiting
      } catch (error) {
        if (blocking) throw error
        deps.log.warn({ upstream: name, err: { message: (error as Error).message } }, 'could not compare tools')
        return new Set()
      }
    },
  }
}

/** Longer texts are cut off: they are only shown. */
const LONGEST_TEXT = 65_536

/** @returns what to store, beside the names. */
function compare(stored: ReadonlyMap<string, ToolRow>, tools: Catalogue, blocking: boolean) {
  const offered: OfferedTool[] = []
  const changed: string[] = []
  const waiting = new Set<string>()
  for (const [name, { item }] of tools.entries) {
    const text = textOf(item)
    const fingerprint = fingerprintOf(text)
    const row = stored.get(name)
    const differs = row !== undefined && row.fingerprint !== fingerprint
    if (differs && row.pending !== fingerprint) changed.push(name)
    if (differs && blocking) waiting.add(name)
    const isStored = (row?.pending ?? row?.fingerprint) === fingerprint && (blocking ? row?.hasText : !differs)
    if (!isStored) offered.push({ name, fingerprint, text: blocking ? text.slice(0, LONGEST_TEXT) : null })
  }
  return { changed, waiting, offered }
}
