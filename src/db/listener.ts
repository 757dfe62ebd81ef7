import { setTimeout as sleep } from 'node:timers/promises'
import type postgres from 'postgres'

/** What a listener is told. Between `onLost` and the next `onReady`, payloads may have been missed. */
export interface Notifications {
  /** A rejection counts as a lost channel, so that everything is loaded anew. */
  onPayload(payload: string): void | Promise<void>
  /** The channel is listened to (for the first time or again); load what may have been missed. A rejection tries anew. */
  onReady(): Promise<void>
  onLost(): void
}

const RETRY_MS = 250
/** A connection can die without a word; who believes in the channel is wrong for at most beat and answer together. */
const HEARTBEAT_MS = 1_000
const ANSWER_MS = 2_000

type Listening = postgres.Options<Record<string, postgres.PostgresType>> & {
  onnotify?: (channel: string, payload: string) => void
}

/**
 * Listens on a channel with a connection of its own, and says when it cannot. postgres.js's own `listen` subscribes
 * again by itself but tells nobody that the connection was gone, and who caches by notification must know.
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
        // The database is away; every query says so to its own caller. Here it is enough to try again.
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
