/** What of an upstream's lists is visible: what its policy allows, without changed tools that wait to be accepted. */
import type { UpstreamConfig } from './config.ts'
import type { Catalogue, Entry } from './lists.ts'
import type { Memory } from './memory.ts'
import { isAllowed } from './policy.ts'

/** The visible items of one list, by name or URI. */
export type Visible = ReadonlyMap<string, Entry>

export interface Visibility {
  /**
   * Checks tools against their stored fingerprints, once per list.
   *
   * @param scope The principal under which the list is stored; empty: shared by all.
   */
  judged(catalogue: Catalogue, scope: string): Promise<Catalogue>
  isJudged(catalogue: Catalogue): boolean
  visibleOf(catalogue: Catalogue): Visible
  /** The names of the tools that wait to be accepted, for each scope. */
  waiting(): Iterable<ReadonlySet<string>>
  forget(scope: string): void
  /** Makes every list be judged again. */
  reset(): void
}

const NONE: ReadonlySet<string> = new Set()

export function openVisibility(memory: Pick<Memory, 'judgeTools'>, config: UpstreamConfig): Visibility {
  let blocked = new WeakMap<Catalogue, ReadonlySet<string>>()
  /** Judgements under way. A second one of the same list could end late, and undo that of a newer list. */
  let judging = new WeakMap<Catalogue, Promise<void>>()
  let visible = new WeakMap<Catalogue, Visible>()
  const waiting = new Map<string, ReadonlySet<string>>()

  const isJudged = (catalogue: Catalogue) => catalogue.kind !== 'tools' || blocked.has(catalogue)

  function judge(tools: Catalogue, scope: string): Promise<void> {
    const [verdicts, underWay] = [blocked, judging]
    const work = memory
      .judgeTools(scope, tools)
      .then(names => {
        verdicts.set(tools, names)
        if (verdicts === blocked) waiting.set(scope, names)
      })
      .finally(() => underWay.delete(tools))
    underWay.set(tools, work)
    return work
  }

  return {
    isJudged,
    async judged(catalogue, scope) {
      // Again, if a reset came in between.
      while (!isJudged(catalogue)) {
        const work = judging.get(catalogue) ?? judge(catalogue, scope)
        if (config.onChange === 'block') await work
        else blocked.set(catalogue, NONE)
      }
      return catalogue
    },
    visibleOf(catalogue) {
      let found = visible.get(catalogue)
      if (!found) {
        const { kind } = catalogue
        const filter = config[kind === 'resourceTemplates' ? 'resources' : kind]
        const hidden = blocked.get(catalogue)
        found = new Map([...catalogue.entries].filter(([key]) => isAllowed(filter, key) && !hidden?.has(key)))
        // Until it is judged, nothing is hidden yet; a count of it may be asked for before.
        if (isJudged(catalogue)) visible.set(catalogue, found)
      }
      return found
    },
    waiting: () => waiting.values(),
    forget: scope => void waiting.delete(scope),
    reset() {
      blocked = new WeakMap()
      judging = new WeakMap()
      visible = new WeakMap()
      waiting.clear()
    },
  }
}
