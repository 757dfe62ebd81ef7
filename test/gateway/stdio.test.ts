import { afterEach, describe, expect, test } from 'bun:test'
import { mkdtempSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { UpstreamFailure } from '../../src/gateway/connection.ts'
import { splitLines } from '../../src/gateway/lines.ts'
import { openStdio } from '../../src/gateway/stdio.ts'
import { openSupervisor, type Supervisor } from '../../src/gateway/supervisor.ts'
import { childSpec, connect, keptLog, lives } from '../support/gateway-children.ts'
import { until } from '../support/until.ts'

const open: Supervisor[] = []
const supervise = () => {
  const { log, lines } = keptLog()
  const supervisor = openSupervisor({ log, now: () => new Date(), grace: 300 })
  open.push(supervisor)
  return { supervisor, lines }
}
afterEach(async () => {
  await Promise.all(open.splice(0).map(supervisor => supervisor.closeAll()))
})

describe('messages over the pipes of a child', () => {
  test('go both ways, in order, whatever characters they contain', async () => {
    const { supervisor } = supervise()
    const child = await connect(supervisor, childSpec())
    const params = { text: 'ä€😀\u2028\n"\\', nested: { list: [1, null, true] } }
    expect(await child.call('echo', params)).toEqual(params)
    const calls = Array.from({ length: 200 }, (_, n) => child.call('echo', { n, text: '€'.repeat(n * 50) }))
    expect((await Promise.all(calls)).map(({ n }) => n)).toEqual(Array.from({ length: 200 }, (_, n) => n))
  })

  test('a child gets the environment and the directory of its entry, and nothing else', async () => {
    const { supervisor } = supervise()
    const cwd = realpathSync(mkdtempSync(join(tmpdir(), 'child-')))
    process.env.SECRET_OF_OURS = 'x'
    const child = await connect(supervisor, childSpec('', { env: { PATH: '/bin', KEY: 'k' }, cwd }))
    delete process.env.SECRET_OF_OURS
    expect(await child.call('environment')).toEqual({ PATH: '/bin', KEY: 'k' })
    expect(await child.call('directory')).toEqual({ cwd })
  })

  test('lines that are not messages cause one warning, and a count at the end; the others arrive', async () => {
    const { supervisor, lines } = supervise()
    const child = await connect(supervisor, childSpec())
    const notification = { jsonrpc: '2.0', method: 'notifications/message' }
    await child.send({
      jsonrpc: '2.0',
      method: 'print',
      params: {
        lines: ['Listening on stdio', '{"level":"info"}', '[]', '{"jsonrpc":"2.0"}', '{broken', '', notification],
      },
    })
    await until(() => child.messages.length > 0)
    expect(child.messages).toEqual([{ jsonrpc: '2.0', method: 'notifications/message' }])
    await child.close()
    const { pid } = child
    expect(lines.filter(({ level }) => level >= 40)).toEqual([
      {
        level: 40,
        msg: 'upstream wrote a line to stdout that is not a message',
        upstream: 'files',
        pid,
        line: 'Listening on stdio',
      },
      { level: 40, msg: 'upstream wrote lines to stdout that are not messages', upstream: 'files', pid, lines: 5 },
    ])
  })

  test('a batch of 2025-03-26 is split', async () => {
    const { supervisor } = supervise()
    const child = await connect(supervisor, childSpec())
    const two = [
      { jsonrpc: '2.0', method: 'notifications/a' },
      { jsonrpc: '2.0', method: 'notifications/b' },
    ]
    await child.send({ jsonrpc: '2.0', method: 'print', params: { lines: [two] } })
    await until(() => child.messages.length === 2)
    expect(child.messages).toEqual(two as typeof child.messages)
  })

  test.each(['{"jsonrpc":"2.0","id":7,"result":5}', '{"jsonrpc":"2.0","id":7,"error":"no"}', '{"id":7,"result":{}}'])(
    'an answer of a wrong form fails its request at once: %s',
    async answer => {
      const { supervisor } = supervise()
      const child = await connect(supervisor, childSpec())
      await child.send({ jsonrpc: '2.0', id: 7, method: 'print', params: { lines: [answer] } })
      await until(() => child.failures.length > 0)
      expect(child.failures).toEqual([
        [7, { reason: 'malformed', detail: 'the answer is neither a result nor an error' }],
      ])
      expect(await child.call('echo', { still: 'there' })).toEqual({ still: 'there' })
    },
  )
})

describe('limits', () => {
  test('lines are split at every chunk boundary, and a line one byte too long is the last', () => {
    const bytes = Buffer.from('ab\n\nc€🎉\nxyzxyzxyz')
    for (let size = 1; size <= bytes.length; size++) {
      const lines: [string, number][] = []
      let over = 0
      const split = splitLines(
        8,
        (line, length) => lines.push([line, length]),
        () => over++,
      )
      for (let at = 0; at < bytes.length; at += size) split(bytes.subarray(at, at + size))
      split(Buffer.from('later\n'))
      const whole: [string, number][] = [
        ['ab', 2],
        ['', 0],
        ['c€🎉', 8],
      ]
      expect([lines, over]).toEqual([whole, 1])
    }
  })

  test('a line of a gigabyte closes the connection at maxBytes, using under 100 MB of memory', async () => {
    const { supervisor } = supervise()
    Bun.gc(true)
    const before = process.memoryUsage.rss()
    let peak = before
    const watch = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage.rss())
    }, 5)
    const child = await connect(supervisor, childSpec('huge'))
    expect(await child.closed).toEqual({ reason: 'too_large', detail: 'a message exceeds 10485760 bytes' })
    await until(() => !lives(child.pid))
    clearInterval(watch)
    expect(Math.round((peak - before) / 1e6)).toBeLessThan(100)
    expect(child.messages).toEqual([])
    await expect(child.send({ jsonrpc: '2.0', method: 'x' })).rejects.toMatchObject({
      failure: { reason: 'too_large' },
    })
  })

  test('what a child does not read is buffered up to maxBytes, then messages are refused', async () => {
    const { supervisor } = supervise()
    const child = await connect(supervisor, childSpec('deaf', { maxBytes: 2_000_000 }))
    const message = { jsonrpc: '2.0' as const, method: 'x', params: { text: 'y'.repeat(100_000) } }
    let sent = 0
    const refused = await (async () => {
      for (; sent < 1000; sent++) await child.send(message)
    })().catch(error => error)
    expect(refused).toBeInstanceOf(UpstreamFailure)
    expect(refused.failure).toEqual({ reason: 'busy', detail: 'the child does not read its standard input' })
    expect(sent).toBeGreaterThan(15)
    expect(sent).toBeLessThan(25)
  })

  test.each(['stdout-flood', 'stderr-flood'])('a %s neither delays answers nor the rest of the server', async mode => {
    const { supervisor, lines } = supervise()
    const quiet = await connect(supervisor, childSpec('', { upstream: 'quiet' }))
    await quiet.call('echo')
    const noisy = await connect(supervisor, childSpec(mode))
    for (let n = 0; n < 40; n++) {
      await quiet.call('echo', { n })
      await Bun.sleep(25)
    }
    if (mode === 'stderr-flood') expect(await noisy.call('echo', { a: 1 })).toEqual({ a: 1 })
    expect(lines.filter(({ msg }) => msg === 'upstream wrote a line to stdout that is not a message').length).toBe(
      mode === 'stdout-flood' ? 1 : 0,
    )
    expect(lines.filter(({ msg }) => msg === 'upstream stderr').length).toBeLessThanOrEqual(
      mode === 'stderr-flood' ? 300 : 0,
    )
    await noisy.close()
  })
})

describe('an end', () => {
  test('of the process during a call fails the call at once, with its exit status and last output', async () => {
    const { supervisor } = supervise()
    const child = await connect(supervisor, childSpec())
    await expect(child.call('exit', { code: 3 })).rejects.toThrow('exited')
    expect(await child.closed).toEqual({ reason: 'exited', detail: 'exit code 3; stderr: giving up' })
    expect(child.closes()).toBe(1)
  })

  test('at the start is reported with what the process wrote', async () => {
    const { supervisor } = supervise()
    const child = await connect(supervisor, childSpec('exit'))
    expect(await child.closed).toEqual({ reason: 'exited', detail: 'exit code 7; stderr: cannot start: no licence' })
    await until(() => supervisor.children().length === 0)
  })

  test('by kill -9 fails the call at once, even if its children live on', async () => {
    const { supervisor } = supervise()
    const child = await connect(supervisor, childSpec())
    const { grandchild } = await child.call('stubborn')
    const call = child.call('silent')
    process.kill(child.pid, 'SIGKILL')
    await expect(call).rejects.toThrow('exited')
    expect((await child.closed).detail).toBe('ended by SIGKILL')
    await until(() => !lives(grandchild as number))
  })

  test('of its standard output closes the connection and ends the process', async () => {
    const { supervisor } = supervise()
    const child = await connect(supervisor, childSpec())
    await child.send({ jsonrpc: '2.0', method: 'closeStdout' })
    expect(await child.closed).toEqual({ reason: 'exited', detail: 'it closed its standard output' })
    await until(() => !lives(child.pid))
  })

  test('by close() fails pending calls once; nothing is sent afterwards', async () => {
    const { supervisor } = supervise()
    const child = await connect(supervisor, childSpec())
    const call = child.call('silent').catch(error => error.message)
    await child.close()
    expect(await call).toBe('cancelled')
    expect(lives(child.pid)).toBe(false)
    expect(await child.closed).toEqual({ reason: 'cancelled', detail: 'the connection was closed' })
    await expect(child.send({ jsonrpc: '2.0', method: 'x' })).rejects.toMatchObject({
      failure: { reason: 'cancelled' },
    })
    expect(child.closes()).toBe(1)
  })
})

test.each([
  [{ command: 'no-such-command-anywhere' }, /^"no-such-command-anywhere" could not be started: /],
  [{ command: '/etc/passwd' }, /^"\/etc\/passwd" could not be started: .*EACCES/],
  [{ cwd: '/no/such/directory' }, /^".*" could not be started in \/no\/such\/directory: .*ENOENT/],
])('a spawn that fails is told and leaves nothing behind: %j', async (wrong, detail) => {
  const { supervisor } = supervise()
  const closes: unknown[] = []
  const events = { onMessage() {}, onClose: (failure: unknown) => void closes.push(failure) }
  const failed = await openStdio(supervisor, childSpec('', wrong), events).catch(error => error)
  expect(failed).toBeInstanceOf(UpstreamFailure)
  expect(failed.failure).toEqual({ reason: 'start_failed', detail: expect.stringMatching(detail) })
  expect(closes).toEqual([failed.failure])
  expect(supervisor.children()).toEqual([])
})
