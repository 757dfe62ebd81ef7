/** When an upstream that fails is tried again. */
import { describe, expect, test } from 'bun:test'
import { openCircuit } from '../../src/gateway/circuit.ts'
import type { UpstreamConfig } from '../../src/gateway/config.ts'
import type { Failure } from '../../src/gateway/connection.ts'
import type { GatewayCaller } from '../../src/gateway/exchange.ts'
import { openHealth } from '../../src/gateway/health.ts'
import { openLog } from '../../src/lib/log.ts'

function circuit() {
  let ms = Date.UTC(2026, 0, 1)
  const opened = openCircuit(() => new Date(ms))
  const isAdmitted = () =>
    opened.admit().then(
      () => true,
      () => false,
    )
  const pass = (seconds: number) => {
    ms += seconds * 1000
  }
  return { ...opened, isAdmitted, pass, opened }
}

async function open(one: ReturnType<typeof circuit>): Promise<void> {
  for (let i = 0; i < 5; i++) {
    one.pass(60)
    expect(await one.isAdmitted()).toBe(true)
    one.failed()
  }
}

describe('a circuit', () => {
  test('opens after five failures in a row for 30 s, then lets one trial through; success closes it', async () => {
    const one = circuit()
    await open(one)
    expect(one.opened.open).toBe(true)
    one.pass(29)
    expect(await one.isAdmitted()).toBe(false)
    one.pass(1)
    expect([await one.isAdmitted(), await one.isAdmitted()]).toEqual([true, false])
    one.succeeded()
    expect([one.opened.open, await one.isAdmitted(), await one.isAdmitted()]).toEqual([false, true, true])
  })

  test('stays open for twice as long after each trial that fails, at most five minutes', async () => {
    const one = circuit()
    await open(one)
    for (const seconds of [30, 60, 120, 240, 300, 300]) {
      one.pass(seconds - 1)
      expect(await one.isAdmitted()).toBe(false)
      one.pass(1)
      expect(await one.isAdmitted()).toBe(true)
      one.failed()
    }
  })

  test('lets another trial through if the outcome of the first is unknown, such as a cancelled call', async () => {
    const one = circuit()
    await open(one)
    one.pass(30)
    expect(await one.isAdmitted()).toBe(true)
    one.pass(29)
    expect(await one.isAdmitted()).toBe(false)
    one.pass(1)
    expect(await one.isAdmitted()).toBe(true)
  })
})

test('an upstream is reported as down once, when its circuit opens, and again after it has worked', () => {
  const down: string[] = []
  const health = openHealth(
    { log: openLog('silent'), now: () => new Date(), onDown: (name, reason) => void down.push(`${name} ${reason}`) },
    { name: 'files', perPrincipal: false } as UpstreamConfig,
  )
  const caller = { principal: 'ada' } as GatewayCaller
  const fail = (times: number) => {
    for (let i = 0; i < times; i++) health.failed(caller, { reason: 'unreachable', detail: '' } as Failure, 'failed')
    return down.length
  }
  expect([fail(4), fail(1), fail(3)]).toEqual([0, 1, 1])
  health.succeeded(caller)
  expect([fail(4), fail(1)]).toEqual([1, 2])
  expect(down[0]).toBe('files unreachable')
})
