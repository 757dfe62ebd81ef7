import type { EventStore, JSONRPCMessage } from '@modelcontextprotocol/server'

const MAX_EVENTS = 256
const MAX_BYTES = 1024 * 1024

/**
 * The last events of one session, for a client that lost its connection and resumes with Last-Event-ID. Bounded: a client
 * that stays away for longer than this holds is told that its event is unknown, and starts anew.
 */
export function boundedEventStore(): EventStore {
  const events = new Map<string, { streamId: string; message: JSONRPCMessage; bytes: number }>()
  let bytes = 0
  let last = 0
  return {
    async storeEvent(streamId, message) {
      const id = String(++last)
      const event = { streamId, message, bytes: JSON.stringify(message).length }
      events.set(id, event)
      bytes += event.bytes
      for (const [oldest, { bytes: freed }] of events) {
        if (events.size <= MAX_EVENTS && bytes <= MAX_BYTES) break
        events.delete(oldest)
        bytes -= freed
      }
      return id
    },
    async getStreamIdForEventId(id) {
      return events.get(id)?.streamId
    },
    async replayEventsAfter(id, { send }) {
      const streamId = events.get(id)?.streamId
      if (streamId === undefined) throw new Error('unknown event')
      for (const [later, event] of events) {
        const isMessage = 'jsonrpc' in event.message // an empty one only gave the client an id to resume from
        if (Number(later) > Number(id) && event.streamId === streamId && isMessage) await send(later, event.message)
      }
      return streamId
    },
  }
}
