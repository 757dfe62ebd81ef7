/** The server is killed at random instants while codes are exchanged and tokens refreshed. */
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { connect } from '../../src/db/index.ts'
import { openLog } from '../../src/lib/log.ts'
import { sweep } from '../../src/sweeper.ts'
import { DATABASES, faultDatabase, type Replica, signInAt, startBinary, times } from '../support/faults.ts'
import {
  consent,
  csrfOf,
  decide,
  pkce,
  poll,
  registerClient,
  requestDevice,
  rpc,
  type TokenAnswer,
} from '../support/flows.ts'
import { freePort } from '../support/ports.ts'
import { startServer } from '../support/server.ts'
import { until } from '../support/until.ts'

setDefaultTimeout(1_200_000)

const CALLBACK = 'http://localhost/callback'
/** A kill comes after at most so many exchanges, and then at any moment of the next ones. */
const EXCHANGES = 20
/** A refresh is repeated with the same result for 30 s (of which the test leaves some for itself). */
const RETRY_MS = 25_000

const programs: Replica[] = []
afterAll(() => {
  for (const program of programs) program.kill('SIGKILL')
})

/** One connection of a client: its newest refresh token, and the access token that came with it. */
interface Chain {
  client: string
  tokens: TokenAnswer
}

for (const kind of DATABASES) {
  const KILLS = kind === 'PostgreSQL' ? times(200, 32) : times(200, 8)

  test.concurrent(`on ${kind}, ${KILLS} kills leave every grant with one living refresh token, and what was acknowledged works`, async () => {
    const database = await faultDatabase(kind)
    const env = { ...database.env, PORT: String(await freePort()) }
    let server: Replica
    const start = async () => {
      server = await startBinary(env)
      programs.push(server)
    }
    await start()
    const cookie = await signInAt(server!, env)
    const device = await registerClient(server!)
    const browser = await registerClient(server!, {
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [CALLBACK],
    })

    let chains: Chain[] = []
    let exchanges = 0
    /** Codes whose exchange was sent, but not answered. */
    let unanswered: string[] = []
    const refresh = (chain: Chain) =>
      server.post('/api/oauth/token', {
        grant_type: 'refresh_token',
        client_id: chain.client,
        refresh_token: chain.tokens.refresh_token,
      })
    const refreshAgain = async (chain: Chain) => {
      chain.tokens = await tokensOf(await refresh(chain))
      exchanges++
    }
    const deviceFlow = async () => {
      const code = await requestDevice(server, device)
      await decide(server, cookie, code.user_code)
      unanswered.push(code.device_code)
      const tokens = await tokensOf(await poll(server, device, code.device_code))
      unanswered = unanswered.filter(sent => sent !== code.device_code)
      chains.push({ client: device, tokens })
      exchanges++
      await Bun.sleep(10)
    }
    const codeFlow = async () => {
      const { verifier, challenge } = pkce()
      const query = new URLSearchParams({
        response_type: 'code',
        client_id: browser,
        redirect_uri: CALLBACK,
        code_challenge: challenge,
        code_challenge_method: 'S256',
        scope: 'mcp:tools:read',
      })
      const answer = await consent(server, cookie, query.toString())
      const tokens = await tokensOf(
        await server.post('/api/oauth/token', {
          grant_type: 'authorization_code',
          client_id: browser,
          code: answer.searchParams.get('code')!,
          redirect_uri: CALLBACK,
          code_verifier: verifier,
        }),
      )
      chains.push({ client: browser, tokens })
      exchanges++
      await Bun.sleep(10)
    }

    const starts: number[] = []
    const processor: number[] = []
    for (let kill = 0; kill < KILLS; kill++) {
      const refreshes = chains.slice(-3).map(chain => onAndOn(() => refreshAgain(chain)))
      const load = [onAndOn(deviceFlow), onAndOn(codeFlow), ...refreshes]
      const over = Promise.allSettled(load)
      exchanges = 0
      const enough = Math.random() * EXCHANGES
      await until(() => exchanges >= enough)
      server!.kill('SIGKILL')
      const killedAt = performance.now()
      await server!.exited
      for (const work of await over)
        expect(String((work as PromiseRejectedResult).reason)).toMatch(/connect|socket|closed/i)
      const began = performance.now()
      await start()
      starts.push(Math.round(performance.now() - began))
      processor.push(processorTime(server!.pid))

      if (performance.now() - killedAt > RETRY_MS) chains = [] // on a machine this slow, a retry comes too late
      for (const chain of chains.slice(-5)) {
        expect((await rpc(server!, chain.tokens.access_token, 'ping')).status).toBe(200)
        chain.tokens = await tokensOf(await refresh(chain)) // the first try, or a retry of one that was not answered
      }
      for (const code of unanswered) {
        const answer = await poll(server!, device, code)
        if (answer.status === 200) chains.push({ client: device, tokens: await tokensOf(answer) })
        else expect(await answer.json()).toMatchObject({ error: 'invalid_grant' }) // it was used: see below
      }
      unanswered = []
    }

    const { DATABASE_URL, DATA_DIR } = database.env
    const db = await connect({
      databaseUrl: DATABASE_URL,
      dataDir: DATA_DIR!,
      serving: false,
      log: openLog('silent'),
    })
    const [broken] = await db.sql`
      select
        (
          select count(*)::int
          from grants
          where 1 <> (select count(*) from refresh_tokens where grant_id = grants.id and consumed_at is null)
        ) as grants_without_one_token,
        (
          select count(*)::int
          from authorization_codes
          where consumed_at is not null and not exists (select from grants where id = authorization_codes.grant_id)
        ) as used_codes_without_grant,
        (select count(*)::int from device_codes where consumed_at is not null)
          - (select count(*)::int from grants where client_id = ${device}) as used_device_codes_without_grant`
    expect(broken).toEqual({
      grants_without_one_token: 0,
      used_codes_without_grant: 0,
      used_device_codes_without_grant: 0,
    })
    await db.close()
    server!.kill('SIGTERM')
    expect(await server!.exited).toBe(0)
    await database.drop()
    console.log(
      `${kind}: ${KILLS} kills; ms until it listens again: ${spread(starts)}; of processor time: ${spread(processor)}`,
    )
  })
}

test.each(DATABASES)(
  'on %s, a kill while somebody deletes their account leaves a removal that is finished',
  async kind => {
    const database = await faultDatabase(kind)
    const env = { ...database.env, PORT: String(await freePort()) }
    const server = await startBinary(env)
    programs.push(server)
    const Cookie = await signInAt(server, env)
    const { DATABASE_URL, DATA_DIR } = database.env
    const beside = await connect({
      databaseUrl: DATABASE_URL,
      dataDir: DATA_DIR!,
      serving: false,
      log: openLog('silent'),
    })
    // The removal waits some seconds for a server that unlinks this account; no such server runs.
    await beside.sql`
    insert into upstream_accounts (upstream, user_id, url, issuer, scope, ended, linked_at, refreshed_at)
    select
      'notes', id, 'https://notes.example/mcp', 'https://notes.example', '{}', 'expired',
      current_timestamp, current_timestamp
    from users`
    const headers = { Cookie, Accept: 'text/html' }
    const csrf = csrfOf(await (await server.get('/account/data', headers)).text(), '/account/data/delete')
    const leaving = server.post('/account/data/delete', { email: 'ada@example.com', csrf }, headers)
    const failed = leaving.then(
      () => false,
      () => true,
    )
    await until(async () => (await beside.sql`select from users where disabled_at is not null`).length > 0)
    await beside.close()
    server.kill('SIGKILL')
    expect([await server.exited, await failed]).toEqual([137, true])

    const next = await startServer(database.env)
    const people = async () => (await next.deps.sql`select from users where email = 'ada@example.com'`).length
    expect(await people()).toBe(1)
    await sweep(next.deps)
    expect(await people()).toBe(0)
    await next.close()
    await database.drop()
  },
)

/** Repeats work until the server is gone. On a busy machine it may answer 503: then the work begins anew. */
async function onAndOn(work: () => Promise<void>): Promise<never> {
  for (;;) {
    await work().catch(error => {
      if (!/\b503\b/.test(String(error))) throw error
    })
  }
}

/** In milliseconds, since it started. proc_pid_stat(5): fields 14 and 15, in hundredths of a second. */
function processorTime(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

function spread(times: number[]): string {
  const sorted = times.toSorted((one, other) => one - other)
  const at = (share: number) => sorted[Math.ceil(sorted.length * share) - 1]
  return `median ${at(0.5)}, 90 % ${at(0.9)}, 99 % ${at(0.99)}, at most ${at(1)}`
}

async function tokensOf(answer: Response): Promise<TokenAnswer> {
  const body = (await answer.json()) as TokenAnswer
  if (answer.status !== 200) throw new Error(`not tokens but ${answer.status} ${JSON.stringify(body)}`)
  return body
}
