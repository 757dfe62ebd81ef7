/** Reads `text/event-stream` (WHATWG HTML 9.2.6) in bounded memory. */
import { fail } from './connection.ts'

export interface ServerEvent {
  event: string
  data: string
  /** Bytes on the wire since the previous event. */
  bytes: number
}

export interface EventReader {
  /** @throws UpstreamFailure if one event is larger than allowed. */
  push(chunk: Uint8Array): void
  /** The last `id` of the stream, to resume from. */
  lastEventId(): string | undefined
  /** The server's reconnection time in milliseconds. */
  retry(): number | undefined
}

/** @param maxBytes Maximum size of one event, including ignored lines. */
export function openEventReader(maxBytes: number, onEvent: (event: ServerEvent) => void): EventReader {
  const decoder = new TextDecoder()
  /** The beginning of an incomplete line. */
  let partial: string[] = []
  let data: string[] = []
  let event = 'message'
  let bytes = 0
  let lastEventId: string | undefined
  let retry: number | undefined
  let endsInReturn = false

  function takeLine(line: string): void {
    if (line === '') {
      if (data.length > 0) onEvent({ event, data: data.join('\n'), bytes })
      data = []
      event = 'message'
      bytes = 0
      return
    }
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (field === 'data') data.push(value)
    else if (field === 'event') event = value
    else if (field === 'id' && !value.includes('\0')) lastEventId = value
    else if (field === 'retry' && /^\d{1,9}$/.test(value)) retry = Number(value)
  }

  return {
    push(chunk) {
      bytes += chunk.length
      let text = decoder.decode(chunk, { stream: true })
      // A CRLF may be split across two chunks.
      if (endsInReturn && text.startsWith('\n')) text = text.slice(1)
      endsInReturn = text.endsWith('\r')
      const lines = text.split(/\r\n|\n|\r/)
      const rest = lines.pop()!
      for (const line of lines) {
        takeLine(partial.length > 0 ? partial.join('') + line : line)
        partial = []
      }
      if (rest !== '') partial.push(rest)
      if (data.length === 0 && partial.length === 0) bytes = 0
      if (bytes > maxBytes) throw fail('too_large', `an event exceeds ${maxBytes} bytes`)
    },
    lastEventId: () => lastEventId,
    retry: () => retry,
  }
}
