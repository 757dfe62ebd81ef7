/** What lies between a client and one of our servers: proxies that hold streams back, end them, or hide addresses. */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { z } from 'zod'
import { isLoopbackHost } from '../lib/networks.ts'
import { isPublicUnicast } from '../lib/safe-fetch.ts'
import { type Check, failed, ok, warning } from './checks.ts'
import { trustingWeb } from './doctor-web.ts'

/** Seconds between the two events of a stream. A busy machine may read both at once, so the second try is longer. */
const TRIES = [0.5, 2] as const

/** Characters of a stream that are read; both events are far shorter. */
const LONGEST = 10_000

const beginningSchema = z.object({
  forwarding: z.enum(['none', 'ignored', 'used']),
  /** Of the client, as the server sees it; absent if it ignores what a proxy says. */
  address: z
    .string()
    .refine(text => isIP(text) !== 0)
    .optional(),
})

interface Probe {
  askedAt: number
  /** Seconds between the two events. */
  pause: number
  beginning?: z.output<typeof beginningSchema>
  /** When its first event arrived, and when it ended, in milliseconds; undefined: it never came. */
  beganAt?: number
  endedAt?: number
}

/** Whether both events came together, and not before the second one was sent. */
function isHeldBack({ askedAt, pause, beganAt, endedAt = Number.POSITIVE_INFINITY }: Probe): boolean {
  const ms = pause * 900 // timers are not exact
  return beganAt !== undefined && beganAt - askedAt > ms && endedAt - beganAt < ms
}

/** @param silence For how many seconds a stream is kept silent; 0: not tried. */
export async function* checkProxies(origin: string, silence: number): AsyncGenerator<Check> {
  const patient = silence > 0 ? readProbe(origin, silence) : undefined
  const [first, second] = TRIES
  let probe = await readProbe(origin, first)
  if (isHeldBack(probe)) probe = await readProbe(origin, second)
  const { beginning } = probe
  if (!beginning) {
    await patient
    return // another program, or one that refuses for now
  }
  if (isHeldBack(probe))
    yield failed(
      'streams',
      'a proxy holds events back until the stream ends',
      'Turn off its buffering, and compression of event streams: in nginx, proxy_http_version 1.1 and proxy_buffering off.',
    )
  else yield ok('streams', 'events arrive when they are sent')
  yield await checkAddress(origin, beginning)
  const held = await patient
  if (held === undefined) return
  if (held.endedAt === undefined)
    yield failed(
      'idle time-out',
      `a stream that was silent for ${silence} s was cut off`,
      'Let the proxy wait longer: in nginx, proxy_read_timeout 1h. Streams of this server are silent for at most 15 s.',
    )
  else yield ok('idle time-out', `a stream may be silent for ${silence} s`)
}

async function checkAddress(
  origin: string,
  { forwarding, address = 'unknown' }: z.output<typeof beginningSchema>,
): Promise<Check> {
  const name = 'client address'
  if (forwarding === 'ignored')
    return failed(
      name,
      'a proxy sends X-Forwarded-For, and the server ignores it: all clients share its address and its rate limits',
      'Set TRUSTED_PROXIES to the address of the proxy as the server sees it; its log names that in a warning.',
    )
  // A stranger on the internet does not come from a private address.
  if (!isPublicUnicast(address) && (await isPublic(new URL(origin).hostname)))
    return warning(
      name,
      `the server takes it to be ${address}, that of a proxy`,
      forwarding === 'used'
        ? 'There is another proxy in between: add its address to TRUSTED_PROXIES.'
        : 'Let the proxy send X-Forwarded-For, and set TRUSTED_PROXIES to its address.',
    )
  return ok(name, `${address}${forwarding === 'used' ? ', as forwarded by a trusted proxy' : ''}`)
}

async function isPublic(host: string): Promise<boolean> {
  if (isLoopbackHost(host)) return false
  const found = await lookup(host.replace(/^\[|\]$/g, ''), { all: true }).catch(() => [])
  return found.length > 0 && found.every(({ address }) => isPublicUnicast(address))
}

async function readProbe(origin: string, pause: number): Promise<Probe> {
  const probe: Probe = { askedAt: performance.now(), pause }
  try {
    const web = trustingWeb(pause * 1000 + 10_000)
    const answer = await web(`${origin}/.well-known/mcp-oauth-server/stream?silence=${pause}`)
    const isStream = answer.headers.get('content-type')?.startsWith('text/event-stream')
    if (!answer.ok || !isStream) {
      await answer.body?.cancel()
      return probe
    }
    let text = ''
    for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk
      const begun = /^event: begin\ndata: (.*)\n\n/.exec(text)?.[1]
      if (begun !== undefined && probe.beganAt === undefined) {
        probe.beginning = beginningSchema.parse(JSON.parse(begun))
        probe.beganAt = performance.now()
      }
      if (text.includes('event: end\n')) probe.endedAt = performance.now()
      if (probe.endedAt !== undefined || text.length > LONGEST) break
    }
  } catch {
    // What has arrived until then counts.
  }
  return probe
}
