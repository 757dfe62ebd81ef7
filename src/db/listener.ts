import { setTimeout as sleep } from 'node:timers/promises'
import type postgres from 'postgres'

/** Callbacks of a listener. Between `onLost` and the next `onReady`, payloads may have been missed. */
export interface Notifications {
  /** A rejection counts as a lost channel, so that everything is reloaded. */
  onPayload(payload: string): void | Promise<void>
  /** The channel is open (again): load what may have been missed. A rejection causes another attempt. */
  onReady(): Promise<void>
  onLost(): void
  /** In place of notifications: load what may have changed. Without it, the channel counts as lost. */
  onPoll?(): Promise<void>
}

const RETRY_MS = 250
/** Detects connections that died silently, within the sum of both times. */
const HEARTBEAT_MS = 1_000
const ANSWER_MS = 2_000

type Listening = postgres.Options<Record<string, postgres.PostgresType>> & {
  onnotify?: (channel: string, payload: string) => void
}

/**
 * Listens on a channel over its own connection, and reports when it is lost. The `listen` of postgres.js resubscribes by
 * itself but does not report the gap, which anyone who invalidates caches by notification must know about.
 */
export function listenForNotifications(
  dial: (options: Listening) => postgres.Sql<Record<string, unknown>>,
  channel: string,
  { onPayload, onReady, onLost }: Notifications,
): { close(): Promise<void> } {
  let connection: postgres.Sql<Record<string, unknown>> | undefined
  const ending = new AbortController()
  /** Sleeps, but not past close(). */
  const pause = (ms: number): Promise<void> => sleep(ms, undefined, { signal: ending.signal }).catch(() => {})

  const loop = (async () => {
    while (!ending.signal.aborted) {
      let lost = () => {}
      const gone = new Promise<void>(resolve => {
        lost = resolve
      })
      const sql = dial({
        max: 1,
        idle_timeout: 0,
        max_lifetime: 0,
        prepare: false,
        onclose: () => lost(),
        onnotify: (_, payload) => void Promise.resolve(payload).then(onPayload).catch(lost),
      })
      connection = sql
      let ready = false
      try {
        const listening = sql.unsafe(`listen ${channel}`).then(() => true)
        if (!(await Promise.race([listening, pause(ANSWER_MS).then(() => false)]))) throw new Error('no answer')
        await onReady()
        ready = true
        for (;;) {
          const outcome = await Promise.race([gone.then(() => 'gone'), pause(HEARTBEAT_MS).then(() => 'beat')])
          if (ending.signal.aborted || outcome === 'gone') break
          const alive = await Promise.race([sql`select 1`.then(() => true), pause(ANSWER_MS).then(() => false)])
          if (!alive) break
        }
      } catch {
        // The database is unavailable, which queries report to their callers; here we just retry.
      }
      if (ending.signal.aborted) break
      if (ready) onLost()
      sql.end({ timeout: 0 }).catch(() => {})
      await pause(RETRY_MS)
    }
  })()

  return {
    async close() {
      ending.abort()
      await connection?.end({ timeout: 1 }).catch(() => {})
      await loop
    },
  }
}
