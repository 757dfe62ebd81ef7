/** Shows the code of a sign-in, and how long it works; on a terminal with a countdown and an offer to open the browser. */
import { spawn } from 'node:child_process'
import { renderUnicodeCompact } from 'uqr'
import type { DevicePrompt } from '../lib/device-grant.ts'
import { isLoopbackHost } from '../lib/networks.ts'
import { say } from './terminal.ts'

/** @returns `close` ends the countdown, however often it is called. */
export function showCode(): { show(prompt: DevicePrompt): void; close(): void } {
  let ticking: Timer | undefined
  const onEnter = new AbortController()
  return {
    show({ link, userCode, expiresIn }) {
      const isLocal = isLoopbackHost(new URL(link).hostname)
      const where = isLocal ? 'on this machine' : 'on any device'
      say(`\nOpen this page ${where}, and check that it shows this code:\n\n  ${link}\n\n  ${userCode}\n`)
      if (isLocal) say('There is no QR code: on another device, localhost is that device.')
      else say(renderUnicodeCompact(link, { border: 2 }))
      const offer = process.stdin.isTTY && process.stderr.isTTY ? browserCommand() : undefined
      if (offer) {
        say('\nPress Enter to open it in the browser here.')
        process.stdin.once('data', () => {
          if (!onEnter.signal.aborted) open([...offer, link])
        })
      }
      if (process.stderr.isTTY) ticking = countDown(expiresIn)
      else say(`\nWaiting until you approve (the code works for ${duration(expiresIn)}) …`)
    },
    close() {
      if (ticking) process.stderr.write('\n')
      clearInterval(ticking)
      ticking = undefined
      onEnter.abort()
      if (process.stdin.isTTY) process.stdin.pause()
    },
  }
}

function countDown(seconds: number): Timer {
  const end = performance.now() + seconds * 1000
  const tick = () => {
    const left = Math.max(0, Math.round((end - performance.now()) / 1000))
    const clock = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`
    process.stderr.write(`\rWaiting until you approve (the code works for another ${clock}) … `)
  }
  process.stderr.write('\n')
  tick()
  return setInterval(tick, 1000)
}

function duration(seconds: number): string {
  const minutes = Math.max(1, Math.round(seconds / 60))
  return `${minutes} minute${minutes === 1 ? '' : 's'}`
}

/** What opens an address in a browser; undefined without a desktop. */
function browserCommand(): string[] | undefined {
  if (process.platform === 'darwin') return ['open']
  if (process.platform === 'win32') return ['rundll32', 'url.dll,FileProtocolHandler']
  return process.env.DISPLAY || process.env.WAYLAND_DISPLAY ? ['xdg-open'] : undefined
}

function open([command = '', ...args]: string[]): void {
  const child = spawn(command, args, { stdio: 'ignore', detached: true })
  child.on('error', () => say(`\n${command} cannot be started; open the page yourself.`))
  child.unref()
}
