import { expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { parseParams, type Repeated } from '../../src/http/params.ts'

test('a form is read as URLSearchParams reads it, encoded or not', () => {
  const piece = fc.constantFrom('a', 'b', '=', '&', '?', '+', '%', '%41', '%C3%A9', 'é', '\uFEFF', '😀')
  const forms = fc.array(piece, { maxLength: 20 }).map(pieces => pieces.join(''))
  fc.assert(
    fc.property(forms, form => {
      const repeated: Repeated = []
      const params = parseParams(form, { repeated })
      const all = [...new URLSearchParams(form)]
      const isFirst = ([name]: [string, string], at: number) => all.findIndex(([other]) => other === name) === at
      expect({ ...params }).toEqual(Object.fromEntries(all.filter(isFirst).filter(([, value]) => value !== '')))
      expect(repeated).toEqual(all.filter((pair, at) => !isFirst(pair, at)))
    }),
    { numRuns: 1_000 },
  )
})
