import { afterEach, describe, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pidSpace, processState } from '../../src/gateway/process-state.ts'
import { openSupervisor, SHARED, type Supervisor, type SupervisorOptions } from '../../src/gateway/supervisor.ts'
import { childSpec, connect, keptLog, lives } from '../support/gateway-children.ts'
import { start } from '../support/processes.ts'
import { until } from '../support/until.ts'

const PARENT = resolve(import.meta.dir, '../support/gateway-parent.ts')
const newDirectory = () => join(mkdtempSync(join(tmpdir(), 'gateway-')), 'state')

const open: Supervisor[] = []
const supervise = (more: Partial<SupervisorOptions> = {}) => {
  const { log, lines } = keptLog()
  const supervisor = openSupervisor({ log, now: () => new Date(), grace: 300, ...more })
  open.push(supervisor)
  return { supervisor, lines }
}
afterEach(async () => {
  await Promise.all(open.splice(0).map(supervisor => supervisor.closeAll()))
})

describe('a child is ended as a whole', () => {
  test('by closing its input, if it reacts to that', async () => {
    const { supervisor, lines } = supervise({ grace: 60_000 })
    const child = await connect(supervisor, childSpec())
    await child.call('echo')
    await child.close()
    expect(lives(child.pid)).toBe(false)
    expect(lines.at(-1)).toEqual({
      level: 30,
      msg: 'child ended',
      upstream: 'files',
      pid: child.pid,
      how: 'exit code 0',
      why: 'its connection was closed',
    })
  })

  test('with SIGKILL, if it and its own child ignore everything else, each step after its delay', async () => {
    const { supervisor } = supervise({ grace: 400 })
    const child = await connect(supervisor, childSpec('stays'))
    const grandchild = (await child.call('stubborn')).grandchild as number
    expect([lives(child.pid), lives(grandchild)]).toEqual([true, true])
    const startedAt = performance.now()
    await child.close()
    expect(performance.now() - startedAt).toBeGreaterThan(790)
    await until(() => !lives(child.pid) && !lives(grandchild))
  })

  test('leads its own process group and session', async () => {
    const { supervisor } = supervise()
    const child = await connect(supervisor, childSpec())
    expect(processState(child.pid)?.group).toBe(child.pid)
  })

  test('at shutdown, all at once; none is started afterwards', async () => {
    const { supervisor } = supervise({ grace: 400 })
    const children = await Promise.all(
      Array.from({ length: 5 }, (_, n) => connect(supervisor, childSpec('stays', { principal: `user:${n}` }))),
    )
    await Promise.all(children.map(child => child.call('stubborn')))
    await supervisor.closeAll()
    expect(children.map(({ pid }) => lives(pid))).toEqual([false, false, false, false, false])
    expect(supervisor.children()).toEqual([])
    await expect(connect(supervisor, childSpec())).rejects.toMatchObject({
      failure: { reason: 'busy', detail: 'the server is stopping' },
    })
  })

  test('even if it is started while the server stops', async () => {
    const { supervisor } = supervise()
    const starting = connect(supervisor, childSpec()).catch(() => undefined)
    await supervisor.closeAll()
    const child = await starting
    expect(supervisor.children()).toEqual([])
    if (child) expect(lives(child.pid)).toBe(false)
  })
})

describe('idle children', () => {
  test('end when unused for idleTimeout, whatever they send, but not while a request waits or somebody needs them', async () => {
    const { supervisor } = supervise()
    let needed = true
    const [idle, waits, listens] = await Promise.all([
      connect(supervisor, childSpec('chatty', { idleTimeout: 150 })),
      connect(supervisor, childSpec('', { idleTimeout: 150 })),
      connect(supervisor, childSpec('', { idleTimeout: 150, inUse: () => needed })),
    ])
    await Promise.all([idle.call('echo'), listens.call('echo')])
    await waits.send({ jsonrpc: '2.0', id: 'w', method: 'silent' })
    expect((await idle.closed).detail).toStartWith('unused for 150 ms')
    await Bun.sleep(300) // twice as long
    expect([waits.closes(), listens.closes()]).toEqual([0, 0])
    needed = false
    await waits.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'w' } })
    await Promise.all([waits.closed, listens.closed])
  })

  test('take no calls once they are being ended, so that none is lost', async () => {
    const { supervisor } = supervise({ maxChildren: 1, grace: 1000 })
    const old = await connect(supervisor, childSpec('stays', { principal: 'user:1' }))
    await old.call('stubborn')
    const next = connect(supervisor, childSpec('', { principal: 'user:2' }))
    expect(await old.closed).toEqual({ reason: 'cancelled', detail: 'made room for another' })
    expect(lives(old.pid)).toBe(true)
    await expect(old.send({ jsonrpc: '2.0', id: 'late', method: 'echo' })).rejects.toMatchObject({
      failure: { reason: 'cancelled', detail: 'made room for another' },
    })
    await (await next).call('echo')
    expect(lives(old.pid)).toBe(false)
  })

  test('live as long as they are used, and forever with idleTimeout 0', async () => {
    const { supervisor } = supervise()
    const used = await connect(supervisor, childSpec('', { idleTimeout: 1_000 }))
    const kept = await connect(supervisor, childSpec('', { idleTimeout: 0 }))
    for (let n = 0; n < 14; n++) {
      await used.call('echo')
      await Bun.sleep(100)
    }
    expect([used.closes(), kept.closes()]).toEqual([0, 0])
  })
})

describe('limits', () => {
  test('the child idle for longest makes room; if all are in use: "busy"', async () => {
    const { supervisor } = supervise({ maxChildren: 2 })
    const spec = (principal: string) => childSpec('', { principal })
    const first = await connect(supervisor, spec('user:1'))
    const second = await connect(supervisor, spec('user:2'))
    await second.call('echo')
    await Bun.sleep(5) // so that the other one was used later
    await first.call('echo')
    const third = await connect(supervisor, spec('user:3'))
    expect((await second.closed).detail).toStartWith('made room for another')
    expect([first.closes(), lives(second.pid)]).toEqual([0, false])
    await first.send({ jsonrpc: '2.0', id: 'a', method: 'silent' })
    await third.send({ jsonrpc: '2.0', id: 'b', method: 'silent' })
    await expect(connect(supervisor, spec('user:4'))).rejects.toMatchObject({
      failure: { reason: 'busy', detail: 'cannot start files: there are 2 child processes, all in use' },
    })
    expect(supervisor.children().map(({ pid }) => pid)).toEqual([first.pid, third.pid])
  })

  test('each principal has a limit and takes no room from others; shared children count for nobody', async () => {
    const { supervisor } = supervise({ maxPerPrincipal: 2 })
    const spec = (principal: string) => childSpec('', { principal, inUse: () => true })
    const other = await connect(supervisor, childSpec('', { principal: 'user:2' }))
    await connect(supervisor, spec('user:1'))
    await connect(supervisor, spec('user:1'))
    await expect(connect(supervisor, spec('user:1'))).rejects.toMatchObject({
      failure: { reason: 'busy', detail: 'cannot start files: user:1 has 2 child processes, all in use' },
    })
    for (let n = 0; n < 3; n++) await connect(supervisor, spec(SHARED))
    expect([supervisor.children().length, other.closes()]).toEqual([6, 0])
  })

  test('many starts at once never exceed the limit, and none replaces one that has just begun', async () => {
    const { supervisor } = supervise({ maxChildren: 3 })
    let most = 0
    const watch = setInterval(() => {
      most = Math.max(most, supervisor.children().length)
    }, 1)
    const all = await Promise.allSettled(
      Array.from({ length: 9 }, (_, n) => connect(supervisor, childSpec('', { principal: `user:${n}` }))),
    )
    const started = all.flatMap(one => (one.status === 'fulfilled' ? [one.value] : []))
    expect(await Promise.all(started.map(child => child.call('echo', { n: 1 })))).toEqual([
      { n: 1 },
      { n: 1 },
      { n: 1 },
    ])
    // Now they are idle, and nine others pass through.
    for (let n = 10; n < 19; n++)
      await (await connect(supervisor, childSpec('', { principal: `user:${n}` }))).call('echo')
    clearInterval(watch)
    expect(most).toBe(3)
  })
})

describe('standard error', () => {
  test('goes to the log line by line, cut at 4 KiB; the last 20 lines are kept', async () => {
    const { supervisor, lines } = supervise()
    const child = await connect(supervisor, childSpec())
    const texts = ['first', 'ä'.repeat(5000), '\u001b[31mred\r', ...Array.from({ length: 22 }, (_, n) => `line ${n}`)]
    await child.call('stderr', { lines: texts })
    await until(() => supervisor.children()[0]?.stderr.at(-1) === 'line 21')
    const logged = lines.filter(({ msg }) => msg === 'upstream stderr')
    expect(logged[0]).toEqual({ level: 30, msg: 'upstream stderr', upstream: 'files', pid: child.pid, line: 'first' })
    expect(logged.map(({ line }) => line)).toEqual(['first', 'ä'.repeat(4096), '\u001b[31mred', ...texts.slice(3)])
    expect(supervisor.children()[0]?.stderr).toEqual(Array.from({ length: 20 }, (_, n) => `line ${n + 2}`))
  })

  test('beyond 100 lines a second is only counted', async () => {
    const { supervisor, lines } = supervise()
    const child = await connect(supervisor, childSpec())
    await child.call('stderr', { lines: Array.from({ length: 350 }, (_, n) => `line ${n}`) })
    await until(() => lines.some(({ lines: count }) => count !== undefined))
    expect(lines.filter(({ msg }) => msg === 'upstream stderr').length).toBe(100)
    expect(lines.filter(({ level }) => level === 40)).toEqual([
      {
        level: 40,
        msg: 'upstream writes too much to stderr; some lines were dropped',
        upstream: 'files',
        pid: child.pid,
        lines: 250,
      },
    ])
    expect(supervisor.children()[0]?.stderr.at(-1)).toBe('line 349')
  })
})

test('children() lists which process runs for whom and since when', async () => {
  let at = new Date('2026-01-02T03:04:05Z')
  const { supervisor } = supervise({ now: () => at })
  const child = await connect(supervisor, childSpec())
  at = new Date('2026-01-02T03:05:00Z')
  await child.call('echo')
  expect(supervisor.children()).toEqual([
    {
      upstream: 'files',
      principal: 'user:u1',
      pid: child.pid,
      startedAt: new Date('2026-01-02T03:04:05Z'),
      lastUsedAt: at,
      stderr: [],
    },
  ])
})

describe('a server that is killed', () => {
  /** Starts a server with one child and kills it. @returns the processes that it left. */
  async function killed(stateDir: string, mode: string, method: string, before: () => Promise<void> = async () => {}) {
    const parent = start([process.execPath, PARENT, stateDir, mode, method], {})
    await parent.printed('}\n')
    const { child, grandchild } = JSON.parse(parent.output()) as { child: number; grandchild?: number }
    await before()
    parent.kill('SIGKILL')
    await parent.exited
    return { child, grandchild: grandchild ?? 0 }
  }

  test('takes along children that stop at the end of their input', async () => {
    const { child } = await killed(newDirectory(), '', 'echo')
    await until(() => !lives(child))
  })

  test('leaves others to the next start, which ends them and their children', async () => {
    const stateDir = newDirectory()
    const { child, grandchild } = await killed(stateDir, 'stays', 'stubborn')
    await Bun.sleep(300) // they stay
    expect([lives(child), lives(grandchild)]).toEqual([true, true])
    const { supervisor, lines } = supervise({ stateDir })
    await supervisor.orphansEnded
    await until(() => !lives(child) && !lives(grandchild))
    expect(lines).toEqual([{ level: 40, msg: 'ending a child process left by a killed server', pid: child }])
    expect(readdirSync(stateDir)).toEqual([])
  })

  const seenAt = (stateDir: string): number => {
    const [name] = readdirSync(stateDir).filter(file => file.endsWith('.json'))
    return JSON.parse(readFileSync(join(stateDir, name!), 'utf8')).seenAt
  }

  test('leaves what its children started to the next start, which ends it even when the child has ended', async () => {
    const stateDir = newDirectory()
    const { child, grandchild } = await killed(stateDir, '', 'helper', async () => {
      const first = seenAt(stateDir)
      while (seenAt(stateDir) === first) await Bun.sleep(50) // the server looks every few seconds
    })
    await until(() => !lives(child))
    expect(lives(grandchild)).toBe(true)
    const { supervisor, lines } = supervise({ stateDir })
    await supervisor.orphansEnded
    await until(() => !lives(grandchild))
    expect(lines).toEqual([{ level: 40, msg: 'ending a child process left by a killed server', pid: child }])
  })

  test('leaves alone what a later process with the pid of a child left behind', async () => {
    const stateDir = newDirectory()
    const { child, grandchild } = await killed(stateDir, '', 'helper')
    await until(() => !lives(child))
    // As if all this had begun after the last look at another child with this pid.
    const [name] = readdirSync(stateDir)
    const record = JSON.parse(readFileSync(join(stateDir, name!), 'utf8'))
    const { startedAt } = processState(grandchild)!
    record.children = [{ pid: child, startedAt: '12345' }]
    writeFileSync(join(stateDir, name!), JSON.stringify({ ...record, seenAt: Number(startedAt) }))
    const { supervisor, lines } = supervise({ stateDir })
    await supervisor.orphansEnded
    expect([lives(grandchild), lines]).toEqual([true, []])
    process.kill(grandchild, 'SIGKILL')
  })

  test('its record kills no process that has reused a pid, nor the children of a live server', async () => {
    const stateDir = newDirectory()
    const running = supervise({ stateDir }).supervisor
    const child = await connect(running, childSpec())
    const bystander = Bun.spawn(['sleep', '60'], { detached: true })
    const space = pidSpace()
    const dead = { pid: 4_000_000, startedAt: '1' }
    const seenAt = 100
    const write = (name: string, value: unknown) => writeFileSync(join(stateDir, name), JSON.stringify(value))
    const { startedAt } = processState(bystander.pid)!
    write('children-4000000.json', {
      space,
      owner: dead,
      children: [{ pid: bystander.pid, startedAt: '12345' }],
      seenAt,
    })
    write('children-4000001.json', {
      space,
      owner: dead,
      children: [{ pid: 1, startedAt: processState(1)?.startedAt }],
      seenAt,
    })
    writeFileSync(join(stateDir, 'children-4000002.json'), '{"space": ')
    // Of a server in another container or on another machine, whose pids are the same by chance; and of one that is long gone.
    const elsewhere = { space: 'elsewhere', owner: dead, children: [{ pid: bystander.pid, startedAt }], seenAt }
    write('children-1-01234567.json', elsewhere)
    write('children-1-89abcdef.json', elsewhere)
    utimesSync(join(stateDir, 'children-1-89abcdef.json'), new Date(0), new Date(0))
    const own = readdirSync(stateDir).filter(name => name.startsWith(`children-${process.pid}-`))
    const { supervisor, lines } = supervise({ stateDir })
    await supervisor.orphansEnded
    expect(readdirSync(stateDir).sort()).toEqual(['children-1-01234567.json', ...own].sort())
    await Bun.sleep(400) // they stay
    expect([lives(bystander.pid), lives(child.pid)]).toEqual([true, true])
    expect(lines.map(({ msg }) => msg)).toEqual([
      'a record of child processes could not be read; it was removed',
      'a record of child processes could not be read; it was removed',
    ])
    bystander.kill('SIGKILL')
  })

  test('its record is readable by its own user only, and is removed with it', async () => {
    const stateDir = newDirectory()
    const { supervisor } = supervise({ stateDir })
    const child = await connect(supervisor, childSpec())
    const path = join(stateDir, readdirSync(stateDir)[0]!)
    expect([statSync(stateDir).mode & 0o777, statSync(path).mode & 0o777]).toEqual([0o700, 0o600])
    expect(JSON.parse(readFileSync(path, 'utf8')).children).toEqual([
      { pid: child.pid, startedAt: processState(child.pid)?.startedAt },
    ])
    await child.close()
    expect(JSON.parse(readFileSync(path, 'utf8')).children).toEqual([])
    await supervisor.closeAll()
    expect(existsSync(path)).toBe(false)
  })
})
