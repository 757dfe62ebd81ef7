/** The lists of one connection: fetched on demand and cached until they change or expire. */
import { fail } from './connection.ts'
import { type Era, ourEnvelope, type ServerDescription } from './era-detection.ts'
import { type Catalogue, fetchAll, KINDS, type Kind, LISTS } from './lists.ts'
import { isObject, METHOD_NOT_FOUND } from './messages.ts'
import type { Peer } from './peer.ts'

export interface LinkLists {
  /** The current, complete list. @throws UpstreamFailure if the upstream does not return it. */
  catalogue(kind: Kind): Promise<Catalogue>
  now(kind: Kind): Catalogue | undefined
  /** Makes the next call fetch the list again. @returns false if it was fetched a moment ago. */
  forget(kind: Kind): boolean
  /** Handles a `list_changed` notification. @returns the lists that may have changed. */
  changed(method: string): Kind[]
}

export interface LinkListsOptions {
  peer: Peer
  era: Era
  server: ServerDescription
  timeout: number
  cancelByClosing: boolean
  /** Maximum number of items in a list. */
  most: number
  warn(words: string): void
  onList(catalogue: Catalogue): void
}

interface Listed {
  catalogue: Promise<Catalogue>
  /** The previous list, while a newer one is being fetched. */
  now: Catalogue | undefined
  fetchedAt: number
  until: number
}

/** How long a list is cached if the upstream does not announce changes. */
const LIST_MS = 60_000
/** Minimum time between two fetches for an unlisted name. */
const REFRESH_MS = 1_000

export function openLinkLists({
  peer,
  era,
  server,
  timeout,
  cancelByClosing,
  most,
  warn,
  onList,
}: LinkListsOptions): LinkLists {
  const lists = new Map<Kind, Listed>()

  async function fetchList(kind: Kind): Promise<Catalogue> {
    const { method, capability } = LISTS[kind]
    if (!isObject(server.capabilities[capability])) return { kind, entries: new Map() }
    const page = async (cursor: string | undefined) => {
      const params = {
        ...(cursor === undefined ? {} : { cursor }),
        ...(era === '2026' ? { _meta: ourEnvelope() } : {}),
      }
      const { response } = await peer.call(method, params, { timeout, maxTimeout: timeout, cancelByClosing })
      if ('result' in response) return response.result
      if (response.error.code === METHOD_NOT_FOUND) return {}
      throw fail('protocol', `${method}: ${response.error.code} ${response.error.message.slice(0, 300)}`)
    }
    const catalogue = await fetchAll(kind, page, most, warn)
    onList(catalogue)
    return catalogue
  }

  function catalogue(kind: Kind): Promise<Catalogue> {
    const known = lists.get(kind)
    if (known && performance.now() < known.until) return known.catalogue
    const offers = server.capabilities[LISTS[kind].capability]
    const announces = isObject(offers) && offers.listChanged === true
    const entry: Listed = {
      catalogue: fetchList(kind),
      now: known?.now,
      fetchedAt: performance.now(),
      until: announces ? Number.POSITIVE_INFINITY : performance.now() + LIST_MS,
    }
    lists.set(kind, entry)
    entry.catalogue.then(
      now => {
        entry.now = now
      },
      () => {
        if (lists.get(kind) === entry) lists.delete(kind)
      },
    )
    return entry.catalogue
  }

  return {
    catalogue,
    now: kind => lists.get(kind)?.now,
    forget(kind) {
      const known = lists.get(kind)
      if (!known || performance.now() - known.fetchedAt < REFRESH_MS) return false
      known.until = 0
      return true
    },
    changed(method) {
      const kinds = KINDS.filter(kind => method.includes(`/${LISTS[kind].capability}/`))
      for (const kind of kinds) lists.delete(kind)
      return kinds
    },
  }
}
