/**
 * The order in which things were last used. A Map or Set whose entries are removed and added again has that order, too,
 * but the runtime keeps removed entries in its chains until it rebuilds the table: each use of a few busy entries among
 * 10,000 then walks past thousands of removed ones.
 */

/** Something that has a place in an order. */
export interface Placed<T> {
  older?: T | undefined
  newer?: T | undefined
}

export interface Recency<T> {
  /** The least recently used; the next ones are its `newer`. */
  oldest(): T | undefined
  /** Makes one the most recently used. */
  touch(item: T): void
  remove(item: T): void
}

export function openRecency<T extends Placed<T>>(): Recency<T> {
  let oldest: T | undefined
  let newest: T | undefined

  function remove(item: T): void {
    const { older, newer } = item
    if (older) older.newer = newer
    else if (item === oldest) oldest = newer
    if (newer) newer.older = older
    else if (item === newest) newest = older
    item.older = undefined
    item.newer = undefined
  }

  return {
    oldest: () => oldest,
    touch(item) {
      if (item === newest) return
      remove(item)
      item.older = newest
      if (newest) newest.newer = item
      else oldest = item
      newest = item
    },
    remove,
  }
}
