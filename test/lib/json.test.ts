import { describe, expect, test } from 'bun:test'
import { JsonError, parseJson } from '../../src/lib/json.ts'

describe('parseJson (RFC 8259 4)', () => {
  test.each([
    '{"a":1,"b":{"a":2},"c":[{"a":1},{"a":2}]}',
    '{"a":"a","b":"\\"a\\":","c":"{\\"a\\":1}"}',
    '["a","a",{"a" : {"a":\n{"a":null}}}]',
    '"a"',
    '{}',
  ])('reads %s as JSON.parse does', text => {
    expect(parseJson(text)).toEqual(JSON.parse(text))
  })

  test.each(['{"a":1,"a":1}', '{"x":[{"id":1,"id":2}]}', '{"a":1,"\\u0061":2}', '{"a":{},"b":{},"a" :3}'])(
    'refuses %s, which parsers read differently',
    text => {
      expect(() => parseJson(text)).toThrow(new JsonError('has a duplicate member'))
    },
  )

  test.each(['', '{', '\ufeff{}', "{'a':1}", '{"a":1,}'])('refuses %j, which is not JSON', text => {
    expect(() => parseJson(text)).toThrow(new JsonError('is not valid JSON'))
  })
})
