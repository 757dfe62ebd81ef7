/**
 * Puts the steps of one attempt of a client together: by client, network and time, without cookies. The steps of a browser
 * belong to the client that they are for; steps before a client has an id, to the next client of the same program there.
 */
import { listClientNames, listConnectionSteps, type StepRow } from '../../sql/connection-steps.ts'
import type { Queries } from '../../sql/index.ts'
import { type Finding, findCause } from './causes.ts'
import { FIRST_CALL_MS, type Step } from './steps.ts'

export interface Attempt {
  /** Null if it stopped before it had one. */
  clientId: string | null
  clientName: string | null
  program: string
  networks: string[]
  beganAt: Date
  endedAt: Date
  steps: Pick<StepRow, 'at' | 'step' | 'status' | 'answer'>[]
  /** Whether its first call was answered. */
  connected: boolean
  /** Where it stopped, why, and what to do; undefined if it is connected. */
  finding: Finding | undefined
}

/** Read at first, which is enough for a page unless very many clients connect. */
const FEW_STEPS = 1_000
const MOST_STEPS = 10_000
/** Open attempts of one network, or of one client, with which a step is compared. */
const MOST_OPEN = 100
/** A step that comes later begins a new attempt; longer than a device code or a sign-in takes. */
const GAP_MS = 15 * 60_000
/** A challenge that comes later after a token is another attempt. */
const LOST_TOKEN_MS = 60_000

/**
 * The attempts that were seen, newest first.
 *
 * @param client Only those of clients with this id, or whose name or program contains this text.
 * @param isEnough Whether these, the newest, will do; then no more is read.
 */
export async function listAttempts(
  { sql, now }: { sql: Queries; now: () => Date },
  client?: string,
  isEnough: (newest: Attempt[]) => boolean = () => false,
): Promise<Attempt[]> {
  for (const limit of [FEW_STEPS, MOST_STEPS]) {
    const rows = inOrder(await listConnectionSteps(sql, limit))
    const attempts = attemptsOf(rows, now())
    await nameClients(sql, attempts)
    const wanted = attempts.filter(attempt => client === undefined || isOf(attempt, client.toLowerCase())).reverse()
    if (rows.length < limit || limit === MOST_STEPS) return wanted
    // Steps before those that were read may belong to the first ones.
    const whole = wanted.filter(({ beganAt }) => beganAt.getTime() - rows[0]!.at.getTime() > GAP_MS)
    if (isEnough(whole)) return whole
  }
  return []
}

const isOf = ({ clientId, clientName, program }: Attempt, client: string) =>
  clientId?.toLowerCase() === client || [clientName, program].some(name => name?.toLowerCase().includes(client))

async function nameClients(sql: Queries, attempts: readonly Attempt[]): Promise<void> {
  const ids = new Set(attempts.flatMap(({ clientId }) => clientId ?? []))
  const names = new Map((await listClientNames(sql, [...ids])).map(({ id, name }) => [id, name]))
  for (const attempt of attempts) attempt.clientName = names.get(attempt.clientId ?? '') ?? null
}

/** Clients take these steps in this order, which tells those apart that two replicas saw within a millisecond. */
const STEPS: readonly Step[] = [
  'challenge',
  'metadata',
  'registration',
  'authorization',
  'sign-in',
  'consent',
  'device code',
  'approval',
  'token',
  'call',
]
const orderOf = ({ step }: StepRow) => STEPS.indexOf(step as Step)

const inOrder = (rows: readonly StepRow[]): StepRow[] =>
  rows.toSorted((one, other) => one.at.getTime() - other.at.getTime() || orderOf(one) - orderOf(other))

/** @param rows In the order of time. */
export function attemptsOf(rows: readonly StepRow[], now: Date): Attempt[] {
  const attempts: Attempt[] = []
  const order = new Map<Attempt, number>()
  /** Open attempts by network and by client, so that a step is compared with few of them. */
  const open = new Map<string, Set<Attempt>>()
  for (const row of rows) {
    const near = placesOf(row).map(place => {
      const here = open.get(place) ?? new Set()
      open.set(place, here)
      for (const one of here) if (row.at.getTime() - one.endedAt.getTime() > GAP_MS) here.delete(one)
      return here
    })
    let attempt = findAttempt(new Set(near.flatMap(here => [...here])), row, order)
    // Somebody who signs in to the pages of this server is not a client.
    if (!attempt && row.step === 'sign-in') continue
    if (!attempt) {
      const { program, at } = row
      attempt = {
        ...{ clientId: null, clientName: null, program, networks: [], beganAt: at, endedAt: at },
        ...{ steps: [], connected: false, finding: undefined },
      }
      order.set(attempt, attempts.push(attempt))
    }
    add(attempt, row)
    for (const here of near) {
      here.add(attempt)
      // The newest is preferred anyway.
      if (here.size > MOST_OPEN) here.delete(here.keys().next().value!)
    }
  }
  for (const attempt of attempts) attempt.finding = attempt.connected ? undefined : findCause(attempt, now)
  return attempts
}

const placesOf = ({ network, client_id }: StepRow): string[] =>
  client_id === null ? [`network ${network}`] : [`network ${network}`, `client ${client_id}`]

function add(attempt: Attempt, { at, step, status, answer, client_id, network }: StepRow): void {
  attempt.clientId ??= client_id
  if (!attempt.networks.includes(network)) attempt.networks.push(network)
  attempt.endedAt = at
  attempt.steps.push({ at, step, status, answer })
  if (step === 'call' && status < 400) attempt.connected = true
}

/** @param order If several fit, the one that began last is found. */
function findAttempt(
  open: ReadonlySet<Attempt>,
  row: StepRow,
  order: ReadonlyMap<Attempt, number>,
): Attempt | undefined {
  const fitting = [...open].filter(attempt => !beginsAnew(attempt, row))
  const isHere = ({ networks }: Attempt) => networks.includes(row.network)
  const nameless = (attempt: Attempt) => attempt.clientId === null && isHere(attempt) && mayGoOnWith(attempt, row.step)
  const rules: ((attempt: Attempt) => boolean)[] =
    row.client_id === null
      ? [
          attempt => isHere(attempt) && attempt.program === row.program,
          attempt => isHere(attempt) && (row.step === 'sign-in' || row.step === 'approval'),
        ]
      : [
          attempt => attempt.clientId === row.client_id && isHere(attempt),
          attempt => nameless(attempt) && attempt.program === row.program,
          nameless,
          // The browser, or the server of a hosted client, is in another network.
          attempt => attempt.clientId === row.client_id,
        ]
  for (const rule of rules) {
    const found = fitting.filter(rule)
    if (found.length > 0) return found.reduce((one, other) => (order.get(other)! > order.get(one)! ? other : one))
  }
  return undefined
}

/** A client without an id gets no further from a refusal of these. */
const ENDING: ReadonlySet<string> = new Set<Step>(['registration', 'authorization', 'device code', 'token'])

/**
 * Whether an attempt without a client's id may be that of the client that takes a step now. After a refusal it may if that is
 * tried again, or by registering; any other step is that of another client of the same program.
 */
function mayGoOnWith({ steps }: Attempt, step: string): boolean {
  const last = steps.findLast(done => ENDING.has(done.step))
  return last === undefined || last.status < 400 || last.step === step || step === 'registration'
}

/** Whether a step cannot follow what an attempt has done already. */
function beginsAnew({ connected, steps }: Attempt, { step, at }: StepRow): boolean {
  const token = steps.findLast(done => done.step === 'token' && done.answer === null)
  if (step === 'challenge' && token) return connected || at.getTime() - token.at.getTime() > LOST_TOKEN_MS
  if (step === 'registration' || step === 'device code' || step === 'challenge')
    return (
      connected ||
      steps.some(done => done.step === 'token' || (done.step === step && done.status < 400 && step !== 'challenge'))
    )
  if (step === 'authorization') return connected || token !== undefined
  return connected && at.getTime() - steps.at(-1)!.at.getTime() > FIRST_CALL_MS
}
