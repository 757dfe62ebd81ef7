/** What people see at a terminal, and only there: a pseudo-terminal, as the program runs in one. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { binary } from '../support/binary.ts'
import { ROOT } from '../support/command.ts'
import { decide, signIn } from '../support/flows.ts'
import { freePort } from '../support/ports.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/until.ts'

setDefaultTimeout(300_000)

const files = mkdtempSync(join(tmpdir(), 'terminal-'))
let server: TestServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(async () => {
  await server.close()
  rmSync(files, { recursive: true })
})

/** Runs the program, or another one, in a terminal. */
function openTerminal(args: string[], env: Record<string, string> = {}, program = [binary()]) {
  let text = ''
  const decoder = new TextDecoder()
  const child = Bun.spawn([...program, ...args], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', TERM: 'xterm-256color', ...env },
    terminal: {
      cols: 200,
      rows: 50,
      data(_, bytes) {
        text += decoder.decode(bytes, { stream: true })
      },
    },
  })
  return {
    child,
    text: () => text,
    type: (keys: string) => child.terminal!.write(keys),
    async shows(pattern: RegExp): Promise<RegExpExecArray> {
      await until(() => pattern.test(text)).catch(() => {
        throw new Error(`it does not show ${pattern}:\n${text}`)
      })
      return pattern.exec(text)!
    },
  }
}

/** A colour (SGR), such as the red of Bun's `console.error`. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is what must not be there
const COLOUR = /\u001b\[[\d;]*m/

test.concurrent('login counts down, opens the browser on Enter, and is not red', async () => {
  // A desktop whose browser notes what it is given.
  const opener = join(files, 'xdg-open')
  writeFileSync(opener, `#!/bin/sh\necho "$1" >${files}/part && mv ${files}/part ${files}/opened\n`)
  chmodSync(opener, 0o755)
  const env = { DISPLAY: ':0', PATH: `${files}:${process.env.PATH}` }
  const bob = await signIn(server, 'bob@example.com')
  const login = openTerminal(['login', `${server.base}/mcp`], env)
  const [, link, code] = await login.shows(/ {2}(\S+\/auth\/device\?code=([A-Z]{4}-[A-Z]{4}))\r\n/)
  await login.shows(
    /Press Enter to open it in the browser here\.[\s\S]*Waiting until you approve \(the code works for another \d+:\d\d\) … /,
  )
  expect(login.text()).toContain('There is no QR code: on another device, localhost is that device.')
  login.type('\r')
  await until(() => existsSync(join(files, 'opened')))
  expect(readFileSync(join(files, 'opened'), 'utf8')).toBe(`${link}\n`)
  await decide(server, bob, code!)
  await login.shows(/Signed in\.[\s\S]*whoami: [\s\S]*Ended the connection with /)
  expect(await login.child.exited).toBe(0)
  expect(login.text()).toMatch(/another \d+:\d\d\) … \rWaiting/) // on one line
  expect(login.text()).not.toMatch(COLOUR)
})

test.concurrent('without a desktop nothing is offered; an interrupted login exits, and says nothing in red', async () => {
  const login = openTerminal(['login', `${server.base}/mcp`])
  await login.shows(/Waiting until you approve/)
  expect(login.text()).not.toContain('Press Enter')
  login.type('\u0003')
  expect(await login.child.exited).not.toBe(0)
  expect(login.text()).not.toMatch(COLOUR)
})

test.concurrent('a question is asked at a terminal, and no answer but yes changes anything', async () => {
  await signIn(server, 'eve@example.com')
  const remove = () => openTerminal(['user', 'remove', 'eve@example.com'], server.env)
  const no = remove()
  await no.shows(/Remove eve@example\.com, with everything that is theirs\? \[y\/N\] /)
  no.type('\r')
  await no.shows(/Nothing was changed\./)
  expect(await no.child.exited).toBe(1)
  const yes = remove()
  await yes.shows(/\[y\/N\] /)
  yes.type('y\r')
  await yes.shows(/eve@example\.com is removed/)
  expect(await yes.child.exited).toBe(0)
})

test.concurrent('backup, restore and audit export show a bar while they work, and erase it', async () => {
  await server.deps.sql`
    insert into audit_events (at, event, detail)
    select now() - n * interval '1 second', 'tool.called', '{}' from generate_series(1, 20000) as n`
  const file = join(files, 'backup.gz')
  const backup = openTerminal(['backup', file, '--with-secret'], server.env)
  await backup.shows(/Wrote [\d,]+ rows/)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is how a bar is erased
  expect(backup.text()).toMatch(/\rBacking up \[[# ]{30}\] \d+% of [\d,]+ rows\u001b\[K[\s\S]*\r\u001b\[KWrote /)
  // The embedded database, so that the secret and the place are new.
  const DATA_DIR = join(files, 'restored')
  const restore = openTerminal(['restore', file], { DATA_DIR })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is how a bar is erased
  await restore.shows(/\rRestoring \[[# ]{30}\] \d+% of [\d,]+ rows\u001b\[K[\s\S]*\r\u001b\[KRestored [\d,]+ rows/)
  expect(await restore.child.exited).toBe(0)
  const exported = openTerminal(
    [binary(), 'audit', 'export', '--json'],
    { ...server.env, EVENTS: join(files, 'events') },
    ['sh', '-c', 'exec "$0" "$@" >"$EVENTS"'],
  )
  expect(await exported.child.exited).toBe(0)
  await exported.shows(/\rExporting \[[# ]{30}\] \d+% back to \d{4}-\d\d-\d\d/)
  expect(readFileSync(join(files, 'events'), 'utf8').split('\n').length).toBeGreaterThan(20_000)
})

test.concurrent('serve greets in plain text, its log too, without colours if NO_COLOR says so; Ctrl-C ends it', async () => {
  const port = await freePort()
  const serve = openTerminal(['serve', '--port', String(port), '--data-dir', join(files, 'served')], {
    NO_COLOR: '1',
  })
  await serve.shows(/is listening on 127\.0\.0\.1:\d+[\s\S]*Try it from another terminal:/)
  await fetch(`http://127.0.0.1:${port}/nowhere`)
  await serve.shows(/INFO: request \{.*"status":404/)
  serve.type('\u0003')
  expect(await serve.child.exited).toBe(0)
  expect(serve.text()).not.toMatch(/^\{/m)
  expect(serve.text()).not.toMatch(COLOUR)
})
