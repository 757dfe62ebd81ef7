/** How far clients came that tried to connect: where each stopped, why, and what to do. */
import { createHash } from 'node:crypto'
import { Elysia } from 'elysia'
import { type AttemptView, tracePage, tracesPage } from '../../views/admin/traces.tsx'
import { type Attempt, listAttempts } from '../audit/attempts.ts'
import { MAY_GO_ON } from '../audit/causes.ts'
import { PENDING, type Step } from '../audit/steps.ts'
import { queryParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { AppError } from '../lib/errors.ts'
import { printableText } from '../lib/text.ts'
import { type AdminDeps, type Asked, administrators, adminPage } from './guard.ts'
import { address } from './paging.ts'

const LIMIT = 50

export const traces = (deps: AdminDeps) =>
  new Elysia({ name: 'admin-traces' }).use(administrators(deps)).get(
    '/admin/traces',
    async asked => {
      const { attempt, client, before } = queryParams(asked.request)
      return attempt === undefined ? showAll(deps, asked, client, before) : showOne(deps, asked, attempt)
    },
    { administrator: true, ...PAGE },
  )

/** Identifies an attempt in addresses: its first step. */
function keyOf({ beganAt, program, networks }: Attempt): string {
  const hash = createHash('sha256').update(`${program} ${networks[0]}`).digest('hex').slice(0, 12)
  return `${beganAt.getTime()}-${hash}`
}

async function showAll(deps: AdminDeps, asked: Asked, client: string | undefined, before: string | undefined) {
  await deps.steps.flush()
  const placeIn = (all: readonly Attempt[]) => (before === undefined ? 0 : placeAfter(all, before))
  const all = await listAttempts(deps, client, newest => placeIn(newest) + LIMIT < newest.length)
  const first = placeIn(all)
  const page = all.slice(first, first + LIMIT)
  const isLast = first + LIMIT >= all.length
  const next = isLast ? undefined : address('/admin/traces', { client, before: keyOf(page.at(-1)!) })
  return adminPage(deps, asked, 'traces', frame =>
    tracesPage({ frame, client: client ?? '', attempts: page.map(shown), next }),
  )
}

/** The attempt after the one with this key, or after its time if it is gone. */
function placeAfter(attempts: readonly Attempt[], key: string): number {
  const at = attempts.findIndex(attempt => keyOf(attempt) === key)
  if (at >= 0) return at + 1
  const time = Number(key.split('-')[0])
  const older = attempts.findIndex(({ beganAt }) => beganAt.getTime() < time)
  return older < 0 ? attempts.length : older
}

async function showOne(deps: AdminDeps, asked: Asked, key: string): Promise<Response> {
  await deps.steps.flush()
  const isAsked = (one: Attempt) => keyOf(one) === key
  const attempt = (await listAttempts(deps, undefined, newest => newest.some(isAsked))).find(isAsked)
  if (!attempt)
    throw new AppError('There is no such trace any more', 'Traces are kept for a while; see those that there are.', {
      status: 404,
    })
  const { steps, beganAt, finding } = attempt
  return adminPage(deps, asked, 'traces', frame =>
    tracePage({
      frame,
      attempt: shown(attempt),
      steps: steps.map(({ at, step, status, answer }) => ({
        what: WORDS[step as Step] ?? step,
        at: at.toISOString(),
        after: afterwards(at.getTime() - beganAt.getTime()),
        status,
        answer: answer === null ? null : printableText(answer, 300),
        isRefused: status >= 400 && step !== 'challenge' && answer !== PENDING,
      })),
      cause: finding?.cause,
      fix: finding?.fix,
    }),
  )
}

function shown(attempt: Attempt): AttemptView {
  const { clientId, clientName, program, networks, beganAt, connected, finding } = attempt
  return {
    href: address('/admin/traces', { attempt: keyOf(attempt) }),
    client: printableText(clientName || clientId || program, 200) || 'An app without a name',
    clientId,
    program: printableText(program, 100),
    networks: networks.join(', '),
    at: beganAt.toISOString(),
    outcome: connected ? 'connected' : finding?.cause === MAY_GO_ON ? 'waiting' : 'stopped',
    stoppedAt: finding?.stoppedAt,
  }
}

const WORDS: Readonly<Record<Step, string>> = {
  challenge: 'It called without a token, and was told where to sign in',
  metadata: 'It read where to sign in',
  registration: 'It registered',
  authorization: 'It opened the sign-in in a browser',
  'sign-in': 'The person signed in',
  consent: 'The person decided',
  'device code': 'It asked for a device code',
  approval: 'The person entered the code and decided',
  token: 'It asked for its token',
  call: 'It made its first call',
}

function afterwards(ms: number): string {
  if (ms < 60_000) return `+${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  return `+${Math.floor(seconds / 60)} min ${seconds % 60} s`
}
