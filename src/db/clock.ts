/**
 * The clock: the database's time, so that it is the same on every replica. It is measured at startup and every minute, and
 * extrapolated in between with the machine's monotonic clock. The machine's time of day is not used: it may be wrong, or
 * be set while the server runs.
 */
import { databaseTime, type Queries } from '../../sql/index.ts'
import type { Log } from '../lib/log.ts'

const INTERVAL_MS = 60_000
/** Difference to the machine's time of day at which a warning is logged. */
const WORTH_A_WARNING_MS = 5_000
/** A jump of the time of day relative to the monotonic clock: the machine slept, or its time was set. */
const STEP_MS = 1_000
const SAMPLES = 3
/** A round trip this fast is accurate enough; after a slower one the measurement is repeated. */
const FAST_MS = 20

/** The sources of time, in milliseconds. */
export interface TimeSources {
  /** The machine's time of day, since 1970. */
  wall(): number
  /** Monotonic; may stop while the machine sleeps. */
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
  /** Measures the database's time. If that fails, the clock is unchanged. */
  measure(): Promise<void>
  close(): void
}

/** Measures the database's time, now and every minute. */
export async function openClock(sql: Queries, log: Log, sources: TimeSources = THIS_MACHINE): Promise<Clock> {
  const { wall, steady } = sources
  /** The database's time at 0 of the steady clock. */
  let origin = 0
  /** The machine's time of day at 0 of the steady clock. */
  let wallOrigin = 0
  let warned = false

  /** The database's time is taken somewhere between query and reply, so the fastest of a few round trips is the most accurate. */
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
        'the clocks of this machine and the database differ; the database’s is used, but synchronize both with NTP',
      )
    warned = isFar
  }

  const measureOrKeep = () =>
    void measure().catch(error =>
      log.debug({ detail: (error as Error).message }, 'could not measure the database’s time'),
    )

  await measure()
  const timer = setInterval(measureOrKeep, INTERVAL_MS)
  timer.unref()
  return {
    now() {
      const at = steady()
      const stepped = wall() - at - wallOrigin
      if (Math.abs(stepped) > STEP_MS) {
        wallOrigin += stepped // only once per jump
        measureOrKeep()
      }
      return new Date(origin + at)
    },
    measure,
    close: () => clearInterval(timer),
  }
}
