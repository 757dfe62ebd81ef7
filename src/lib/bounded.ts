/** Maps and sets that keep only their newest entries. */

/**
 * Makes room for one more entry: from a full map or set the oldest 1/32 goes at once. The runtime keeps removed entries at
 * the front until it rebuilds a table, so that removing one at a time walks past thousands of them each time.
 */
export function makeRoom<M extends Map<unknown, unknown> | Set<unknown>>(entries: M, most: number): M {
  if (entries.size < most) return entries
  let surplus = entries.size - most + Math.ceil(most / 32)
  for (const key of entries.keys()) {
    if (surplus-- <= 0) break
    entries.delete(key)
  }
  return entries
}
