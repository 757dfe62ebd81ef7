import { describe, expect, test } from 'bun:test'
import { isAllowed, matches, mayUse, redact, scopesOf } from '../../src/gateway/policy.ts'

describe('globs', () => {
  test.each<[glob: string, text: string, matched: boolean]>([
    ['read_file', 'read_file', true],
    ['read_file', 'read_files', false],
    ['read_*', 'read_', true],
    ['*_file', 'read_file', true],
    ['*secret*', 'file:///a/secret/b', true],
    ['file:///**', 'file:///a/b', true],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['a?c', 'abc', false],
    ['[ab]', 'a', false],
    ['Read', 'read', false],
    ['.', 'a', false],
  ])('%j on %j: %p', (glob, text, matched) => {
    expect(matches(glob, text)).toBe(matched)
  })

  test('an upstream cannot make a glob slow', () => {
    const before = process.cpuUsage()
    expect(matches(`${'*a'.repeat(50)}b`, 'a'.repeat(50_000))).toBe(false)
    expect(process.cpuUsage(before).user).toBeLessThan(1_000_000)
  })
})

describe('policy', () => {
  test('deny wins over allow; without allow everything else is allowed', () => {
    const filter = { allow: ['read_*', 'list'], deny: ['read_secret*'] }
    expect(['read_file', 'list', 'read_secrets', 'write'].map(name => isAllowed(filter, name))).toEqual([
      true,
      true,
      false,
      false,
    ])
    expect(isAllowed({ deny: ['rm'] }, 'ls')).toBe(true)
    expect(isAllowed({ allow: [] }, 'ls')).toBe(false)
    expect(isAllowed({}, 'ls')).toBe(true)
  })

  test('people match by e-mail address, machines by client id, never the other way round', () => {
    const users = ['*@example.com', 'batch-*']
    const person = (email: string) => mayUse(users, { user: { email }, clientId: 'batch-1' })
    const machine = (clientId: string) => mayUse(users, { clientId })
    expect([person('Ada@Example.com'), person('ada@example.org'), person('ada@example.com.evil')]).toEqual([
      true,
      false,
      false,
    ])
    expect([machine('batch-7'), machine('other'), machine('x@example.com')]).toEqual([true, false, false])
    expect(mayUse(undefined, { clientId: 'other' })).toBe(true)
    expect(mayUse([], { clientId: 'other' })).toBe(false)
  })

  test('a call needs the scope of every matching glob', () => {
    const scopes = { '*': 'files', 'delete_*': 'files:delete', delete_all: 'files', other: 'x' }
    expect(scopesOf(scopes, 'delete_all')).toEqual(['files', 'files:delete'])
    expect(scopesOf({}, 'delete_all')).toEqual([])
  })

  test('arguments are redacted by key at any depth', () => {
    expect(redact({ Password: 'p', list: [{ apiToken: 't', n: 1 }], n: null }, ['password', '*token'])).toEqual({
      Password: '[redacted]',
      list: [{ apiToken: '[redacted]', n: 1 }],
      n: null,
    })
    let deep: unknown = 'secret'
    for (let level = 0; level < 100_000; level++) deep = { deep }
    expect(JSON.stringify(redact(deep, []))).toContain('[too deep]')
  })
})
