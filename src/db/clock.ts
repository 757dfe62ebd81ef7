/**
 * The clock of every rule: the database's, so that no rule depends on which replica answers. Its time is asked for when
 * the server starts and every minute; between two answers a clock of this machine that never jumps carries it on. The
 * machine's time of day decides nothing: it may be wrong, and it may be set while the server runs.
 */
import { databaseTime, type Queries } from '../../sql/index.ts'
import type { Log } from '../lib/log.ts'

const INTERVAL_MS = 60_000
/** How far the machine's time of day may be off before its operator should know. */
const WORTH_A_WARNING_MS = 5_000
/** A step of the time of day against the steady clock: the machine slept, or its time was set. */
const STEP_MS = 1_000
const SAMPLES = 3
/** An answer that came this fast is as good as it gets; a slower one is asked for again. */
const FAST_MS = 20

/** Where times come from, in milliseconds. */
export interface TimeSources {
  /** The machine's time of day, since 1970. */
  wall(): number
  /** Only grows, with the speed of time; may stand still while the machine sleeps. */
  steady(): number
  /** The database's time, since 1970. */
  database(sql: Queries): Promise<number>
}

const THIS_MACHINE: TimeSources = {
  wall: () => Date.now(),
  steady: () => performance.now(),
  database: databaseTime,
}

export interface Clock {
  now(): Date
  /** Asks the database for its time. A rejection leaves the clock as it was. */
  measure(): Promise<void>
  close(): void
}

/** Asks the database for its time, and goes on asking. */
export async function openClock(sql: Queries, log: Log, sources: TimeSources = THIS_MACHINE): Promise<Clock> {
  const { wall, steady } = sources
  /** The database's time when the steady clock was at 0. */
  let origin = 0
  /** The same of the machine's time of day. */
  let wallOrigin = 0
  let warned = false

  /** The database answers somewhere between question and reply: the fastest of a few answers is off the least. */
  async function measure(): Promise<void> {
    let fastest = Number.POSITIVE_INFINITY
    for (let i = 0; i < SAMPLES && fastest > FAST_MS; i++) {
      const asked = steady()
      const time = await sources.database(sql)
      const took = steady() - asked
      if (took >= fastest) continue
      fastest = took
      origin = time - asked - took / 2
    }
    wallOrigin = wall() - steady()
    warn(Math.round((wallOrigin - origin) / 1000))
  }

  function warn(aheadSeconds: number): void {
    const isFar = Math.abs(aheadSeconds) * 1000 > WORTH_A_WARNING_MS
    if (isFar && !warned)
      log.warn(
        { aheadSeconds },
        'the clock of this machine and the database’s differ; the database’s counts, but set both by NTP',
      )
    warned = isFar
  }

  const measureOrKeep = () =>
    void measure().catch(error =>
      log.debug({ detail: (error as Error).message }, 'could not ask the database for its time'),
    )

  await measure()
  const timer = setInterval(measureOrKeep, INTERVAL_MS)
  timer.unref()
  return {
    now() {
      const at = steady()
      const stepped = wall() - at - wallOrigin
      if (Math.abs(stepped) > STEP_MS) {
        wallOrigin += stepped // once a step
        measureOrKeep()
      }
      return new Date(origin + at)
    },
    measure,
    close: () => clearInterval(timer),
  }
}
