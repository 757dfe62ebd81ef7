import { expect, test } from 'bun:test'
import { openStop } from '../../src/lib/stop.ts'

test('a stop calls each listener once, except those that were removed', () => {
  const { signal, abort } = openStop()
  const heard: string[] = []
  const removed = () => void heard.push('removed')
  signal.addEventListener('abort', () => void heard.push('first'))
  signal.addEventListener('abort', removed)
  signal.addEventListener('abort', () => void heard.push(`last, aborted: ${signal.aborted}`))
  signal.removeEventListener('abort', removed)
  expect(signal.aborted).toBe(false)
  abort()
  abort()
  expect(heard).toEqual(['first', 'last, aborted: true'])
})
