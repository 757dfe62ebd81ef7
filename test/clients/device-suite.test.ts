/** Our conformance suite for the device grant, as others run it, against our own server; and faults that it must find. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'
import { createSignInLink } from '../../src/signin/service.ts'
import { faults } from '../conformance/faults.ts'
import { atMost } from '../conformance/http.ts'
import type { Approve } from '../conformance/model.ts'
import { checkAll } from '../conformance/requirements.ts'
import { openTarget } from '../conformance/target.ts'
import { CHROMIUM, noBrowser } from '../support/browser.ts'
import { startFront } from '../support/faulty-front.ts'
import { decide, signIn } from '../support/flows.ts'
import { freePort } from '../support/ports.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { TEST_CERTIFICATE, TEST_KEY } from '../support/tls.ts'

setDefaultTimeout(300_000)

/** In these tests this address is the public internet, and the rest of loopback is not. */
const PUBLIC = '127.0.0.2'
const RUN = join(import.meta.dir, '../conformance/run.ts')
const codes = new Map<string, string>()

let server: TestServer
let ada: string
/** A person at a browser: decides what is asked for at `?code=…&decision=…`. */
let person: ReturnType<typeof Bun.serve>

beforeAll(async () => {
  const outbound = {
    ca: TEST_CERTIFICATE,
    isAllowed: (address: string) => address === PUBLIC,
    resolve: async (host: string) => [host === 'client.example' ? PUBLIC : '127.0.0.1'],
  }
  server = await startServer({ DEVICE_CODE_TTL: '60', TRUSTED_PROXIES: '127.0.0.1' }, outbound)
  ada = await signIn(server)
  person = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    idleTimeout: 60,
    async fetch(request) {
      const { searchParams } = new URL(request.url)
      const code = searchParams.get('code')!
      await approve(code, searchParams.get('decision') as 'approve' | 'deny')
      return new Response('done')
    },
  })
})
afterAll(async () => {
  await person.stop(true)
  await server.close()
})

interface Report {
  summary: Record<string, number>
  results: { id: string; level: string; outcome: string; seen: string }[]
}

const byCommand = () => [
  '--approve',
  `curl -fsS -G -d decision="$DECISION" --data-urlencode code="$USER_CODE" ${person.url.href} #`,
]

async function run(args: string[], env: Record<string, string> = {}) {
  const child = Bun.spawn([process.execPath, 'run', RUN, ...args], {
    env: { PATH: process.env.PATH ?? '', NO_PROXY: '*', no_proxy: '*', ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  return { stdout, stderr, code }
}

const failed = (results: Report['results']) => results.filter(({ outcome }) => outcome === 'fail')

/** A front of the server with the fault that a requirement must find. */
const plant = (requirement: string) => {
  const fault = faults.find(planted => planted.requirement === requirement)!
  return startFront(server.base, fault.plant({ approve: code => approve(code, 'approve'), codes }))
}
const approve = async (code: string, decision: 'approve' | 'deny') => {
  await decide(server, ada, codes.get(code) ?? code, decision)
}
/** A run mostly waits, but each begins with as many requests as it may. */
const inTurn = atMost(4)

/** A host on the web whose documents a program on this machine serves. */
function startTlsFront(port: number) {
  return Bun.serve({
    hostname: PUBLIC,
    port: 0,
    idleTimeout: 60,
    tls: { key: TEST_KEY, cert: TEST_CERTIFICATE },
    fetch: request => {
      const { pathname } = new URL(request.url)
      return fetch(`http://127.0.0.1:${port}${pathname}`, { redirect: 'manual' })
    },
  })
}

describe('the conformance suite', () => {
  test.concurrent('finds no failure in this server, documents and expiry included, and prints no secret', async () => {
    const port = await freePort()
    const web = startTlsFront(port)
    const front = await startFront(server.base)
    try {
      const documents = ['--documents', `https://client.example:${web.port}`, '--documents-port', String(port)]
      const { stdout, stderr, code } = await run([
        front.base,
        ...byCommand(),
        '--json',
        '--max-wait',
        '70',
        ...documents,
      ])
      expect(stderr).toBe('')
      const report = JSON.parse(stdout) as Report
      expect(failed(report.results)).toEqual([])
      expect([code, report.summary.failedMust]).toEqual([0, 0])
      expect(new Set(report.results.map(({ id }) => id)).size).toBe(report.results.length)
      const open = report.results.filter(({ outcome }) => outcome.startsWith('not'))
      expect(open.map(({ id, outcome }) => `${id} ${outcome}`)).toEqual(['META-4 not tested', 'VER-1 not tested'])
      expect(front.secrets.size).toBeGreaterThan(50)
      expect([...front.secrets].filter(secret => stdout.includes(secret))).toEqual([])
    } finally {
      await front.close()
      await web.stop(true)
    }
  })

  test.concurrent.each(faults)('finds $name, and nothing else ($requirement)', ({ requirement }) =>
    inTurn(async () => {
      const front = await plant(requirement)
      try {
        const person: Approve = ({ userCode }, decision) => approve(userCode, decision)
        const target = await openTarget({ issuer: front.base, jsonTokens: false, maxWait: 0, approve: person })
        expect(failed(await checkAll(target)).map(({ id }) => id)).toEqual([requirement])
      } finally {
        await front.close()
      }
    }),
  )

  test.concurrent.each([
    ['POLL-1', 'MUST', 1],
    ['POLL-3', 'SHOULD', 0],
  ])('when %s fails, a %s, it exits %d', (requirement, level, exit) =>
    inTurn(async () => {
      const front = await plant(requirement)
      try {
        const { stdout, stderr, code } = await run([front.base, ...byCommand(), '--json'])
        const found = failed((JSON.parse(stdout) as Report).results)
        expect([stderr, code, found.map(result => [result.id, result.level])]).toEqual([
          '',
          exit,
          [[requirement, level]],
        ])
      } finally {
        await front.close()
      }
    }),
  )

  test.concurrent.skipIf(noBrowser)('lets a browser hook press the buttons, and prints a table', async () => {
    const hook = join(import.meta.dir, '../support/approve-in-chromium.ts')
    const env = { SIGN_IN_LINK: await createSignInLink(server.deps, 'grace@example.com') }
    const { stdout, stderr, code } = await run([server.base, '--browser', hook, '--chromium', CHROMIUM!], env)
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^POLL-15 MUST {3}pass {8}RFC 8628 3\.5 .*access_denied$/m)
    expect(stdout).toMatch(/^TOK-2 {3}MUST {3}pass /m)
    expect(stdout).toMatch(/; 0 MUST and \d SHOULD failed\n$/)
    expect(code).toBe(0)
  })

  test.each<[string, () => string[], string]>([
    ['no issuer', () => [], 'Give one issuer, a URL'],
    ['nobody there', () => ['http://127.0.0.1:1'], 'http://127.0.0.1:1 does not answer'],
    ['a command that fails', () => [server.base, '--approve', 'exit 3 #'], 'The approve command ended with 3'],
  ])('exits 2 and says why: %s', async (_, args, sentence) => {
    const { stdout, stderr, code } = await run(args())
    expect(stderr).toStartWith(sentence)
    expect([stdout, code]).toEqual(['', 2])
  })
})
