import { expect, test } from 'bun:test'
import { makeRoom } from '../../src/lib/bounded.ts'

test('a full map or set loses its oldest entries, and never has more than it may', () => {
  for (const most of [1, 2, 100]) {
    const kept = new Set<number>()
    for (let n = 0; n < 1_000; n++) {
      makeRoom(kept, most).add(n)
      expect(kept.size).toBeLessThanOrEqual(most)
      expect([...kept]).toEqual(Array.from({ length: kept.size }, (_, at) => n - kept.size + 1 + at))
    }
    expect(kept.size).toBeGreaterThanOrEqual(most - Math.ceil(most / 32))
  }
})
