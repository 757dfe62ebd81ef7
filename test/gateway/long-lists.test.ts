/** Very long lists: what is parsed of them, and what is not shortened. */
import { describe, expect, test } from 'bun:test'
import { parseAnswer } from '../../src/gateway/long-lists.ts'

const MOST = 10
const tools = Array.from({ length: 20_000 }, (_, at) => ({
  name: `tool_${at}`,
  description: 'ends with a quote \\" and a bracket ] or }, { [',
  inputSchema: { type: 'object', properties: { path: { enum: ['a', ']', '\\'] } } },
}))
const parse = (message: object, method = 'tools/list') =>
  parseAnswer(JSON.stringify(message), id => (id === 5 ? method : undefined), MOST) as {
    id: number
    result: { tools: unknown[] }
  }

describe('a list of 20,000 tools', () => {
  test.each<[what: string, message: object]>([
    ['after the id', { jsonrpc: '2.0', id: 5, result: { tools } }],
    ['before the id', { result: { tools }, jsonrpc: '2.0', id: 5 }],
    ['before the id and the version', { result: { tools }, id: 5, jsonrpc: '2.0' }],
    ['with a cursor', { jsonrpc: '2.0', id: 5, result: { tools, nextCursor: 'next' } }],
    ['with metadata', { jsonrpc: '2.0', id: 5, result: { _meta: { a: [1] }, tools, more: { b: [{ c: [2] }] } } }],
  ])('%s has its first items, about as many as it had, and everything else', (_, message) => {
    const parsed = parse(message)
    const { tools: found, ...others } = parsed.result
    const { tools: _tools, ...expected } = (message as typeof parsed).result
    expect(found.slice(0, MOST + 1)).toEqual(tools.slice(0, MOST + 1))
    expect(Object.keys(found)).toHaveLength(MOST + 1)
    expect(found.length).toBeGreaterThan(19_000)
    expect(found.length).toBeLessThan(22_000)
    expect(others).toEqual(expected)
    expect(parsed.id).toBe(5)
  })

  test.each<[what: string, message: object, method: string]>([
    ['in the result of a call', { jsonrpc: '2.0', id: 5, result: { tools } }, 'tools/call'],
    ['that nobody asked for', { jsonrpc: '2.0', id: 6, result: { tools } }, 'tools/list'],
    ['of another kind', { jsonrpc: '2.0', id: 5, result: { tools } }, 'prompts/list'],
    ['inside an item', { jsonrpc: '2.0', id: 5, result: { tools: [{ tools }] } }, 'tools/list'],
  ])('%s is not shortened', (_, message, method) => {
    expect(parse(message, method)).toEqual(message as never)
  })
})

test('a list of few but long items is not shortened, and what is not JSON is a SyntaxError', () => {
  const message = { jsonrpc: '2.0', id: 5, result: { tools: [{ name: 'x'.repeat(5_000_000) }, { name: 'y' }] } }
  expect(parse(message)).toEqual(message as never)
  const text = JSON.stringify({ jsonrpc: '2.0', id: 5, result: { tools } })
  for (const broken of [text.slice(0, -1), `${text}x`, text.slice(0, -2)])
    expect(() => parseAnswer(broken, () => 'tools/list', MOST)).toThrow(SyntaxError)
})
