import { expect, test } from 'bun:test'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readAddress } from '../../src/db/address.ts'

const ca = join(mkdtempSync(join(tmpdir(), 'mcp-oauth-address-')), 'ca.pem')
writeFileSync(ca, 'an authority')
const read = (address: string) => readAddress(address, 'DATABASE_URL')

test('the parameters of libpq become those of postgres.js, and the others stay', () => {
  expect(read('postgres://u:p@a/db')).toEqual({ url: 'postgres://u:p@a/db', options: {} })
  expect(read('postgres://u:p@a/db?prepare=false&sslmode=require')).toEqual({
    url: 'postgres://u:p@a/db?prepare=false',
    options: { ssl: 'require' },
  })
  expect(read('postgres://a/db?sslmode=disable').options).toEqual({ ssl: false })
  expect(read('postgres://a/db?sslmode=verify-full').options).toEqual({ ssl: { rejectUnauthorized: true } })
  expect(read(`postgres://a/db?sslmode=verify-full&sslrootcert=${ca}`).options).toEqual({
    ssl: { rejectUnauthorized: true, ca: 'an authority' },
  })
  for (const mode of ['require', 'verify-ca'])
    expect(read(`postgres://a/db?sslmode=${mode}&sslrootcert=${ca}`).options).toEqual({
      ssl: { rejectUnauthorized: true, ca: 'an authority', checkServerIdentity: expect.any(Function) },
    })
})

test('of several hosts the primary is used, as if by target_session_attrs=read-write', () => {
  const primary = { target_session_attrs: 'primary' }
  expect(read('postgres://u@a:1,b:2/db')).toEqual({ url: 'postgres://u@a:1,b:2/db', options: primary as never })
  expect(read('postgres://a/db?target_session_attrs=read-write').options).toEqual(primary as never)
  expect(read('postgres://a,b/db?target_session_attrs=any').options).toEqual({})
  expect(read('postgres://u:p,p@a/db').options).toEqual({})
})

test.each([
  ['sslmode=verify', 'sslmode in DATABASE_URL must be disable, prefer, require, verify-ca or verify-full'],
  ['target_session_attrs=standby', 'target_session_attrs in DATABASE_URL must be any, read-write or primary'],
  ['sslmode=verify-ca&sslrootcert=/nowhere', 'sslrootcert in DATABASE_URL cannot be read: ENOENT'],
])('%s is refused with what to change, and without the address', (query, message) => {
  expect(() => read(`postgres://u:hunter2@a/db?${query}`)).toThrow(message)
  expect(() => read(`postgres://u:hunter2@a/db?${query}`)).not.toThrow('hunter2')
})
