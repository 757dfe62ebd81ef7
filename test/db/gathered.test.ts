import { describe, expect, test } from 'bun:test'
import type { Queries } from '../../sql/index.ts'
import { gathered } from '../../src/db/gathered.ts'
import { DatabaseUnavailable } from '../../src/lib/errors.ts'

const sql = {} as Queries

/** A statement that doubles numbers: it knows none above 100, refuses 13, and has no database at 99. */
function openDoubling() {
  const statements: number[][] = []
  const double = gathered(String, async (_sql, inputs: readonly number[]) => {
    statements.push([...inputs])
    if (inputs.includes(13)) throw new Error('refused')
    if (inputs.includes(99)) throw new DatabaseUnavailable('away')
    return inputs
      .filter(input => input < 100)
      .map(input => ({ key: String(input), double: 2 * input }))
      .reverse()
  })
  const ask = async (...inputs: number[]) => {
    const answers = await Promise.allSettled(inputs.map(input => double(sql, input)))
    return answers.map(answer => (answer.status === 'fulfilled' ? answer.value?.double : answer.reason.message))
  }
  return { ask, statements }
}

describe('a gathered statement', () => {
  test('answers all inputs of a turn, each with its own row, or with none', async () => {
    const { ask, statements } = openDoubling()
    expect(await ask(1, 2, 101, 3)).toEqual([2, 4, undefined, 6])
    expect(await ask(4)).toEqual([8])
    expect(statements).toEqual([[1, 2, 101, 3], [4]])
  })

  test('runs again for an input that it already has, and after a hundred', async () => {
    const { ask, statements } = openDoubling()
    expect(await ask(1, 2, 1, 3)).toEqual([2, 4, 2, 6])
    expect(statements).toEqual([
      [1, 2],
      [1, 3],
    ])
    await ask(...Array.from({ length: 150 }, (_, at) => 1_000 + at))
    expect(statements.slice(2).map(({ length }) => length)).toEqual([100, 50])
  })

  test('that the database refuses is tried with each input alone', async () => {
    const { ask, statements } = openDoubling()
    expect(await ask(1, 13, 2)).toEqual([2, 'refused', 4])
    expect(statements).toEqual([[1, 13, 2], [1], [13], [2]])
  })

  test('is not repeated when the database is away, since it may have been committed', async () => {
    const { ask, statements } = openDoubling()
    expect(await ask(1, 99)).toEqual(['database unavailable', 'database unavailable'])
    expect(statements).toEqual([[1, 99]])
  })
})
