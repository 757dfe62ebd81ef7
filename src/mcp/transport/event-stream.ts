/** A response with server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). */

const ENCODER = new TextEncoder()

/** Keep proxies from buffering events. */
export const EVENT_STREAM_HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
}

/** A comment sent at once, since Bun sends the headers only with the first bytes. */
const OPENING = ':\n\n'
/** Maximum number of unread bytes, not counting the last chunk. */
const MAX_UNREAD = 1024 * 1024
/** Bun allocates the buffer of a stream by it; with 4 KiB or more, each idle stream takes 4 KiB more. */
const HIGH_WATER_MARK = 256

export interface EventStream {
  response: Response
  /** A reader that is too far behind is disconnected. */
  write(text: string): void
  /** Ends the stream after the events written so far; later writes are ignored. */
  end(): void
}

/** A stream as it is for whoever guards it. */
export interface Guarded {
  write(bytes: Uint8Array): void
  /** Ends it as if its reader had left. */
  cut(): void
  /** Called once, when it is over for any reason. */
  onOver(): void
}

/** Those that are open. */
const streams = new WeakMap<Response, Guarded>()

/** @returns undefined unless events may still come: such a response must be guarded. */
export const guardedOf = (response: Response): Guarded | undefined => streams.get(response)

/** @param onGone Called when the reader disconnects before the end, or is disconnected. */
export function openEventStream(
  onGone: () => void,
  headers: Record<string, string> = {},
  opening = OPENING,
): EventStream {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  /** @returns the controller, the first time. */
  function over() {
    const ending = controller
    controller = undefined
    if (ending) {
      streams.delete(response)
      guarded.onOver()
    }
    return ending
  }
  const guarded: Guarded = {
    write(bytes) {
      if ((controller?.desiredSize ?? 0) <= HIGH_WATER_MARK - MAX_UNREAD) guarded.cut()
      controller?.enqueue(bytes)
    },
    cut() {
      const ending = over()
      ending?.close()
      if (ending) onGone()
    },
    onOver() {},
  }
  const body = new ReadableStream<Uint8Array>(
    {
      start(opened) {
        controller = opened
        if (opening !== '') opened.enqueue(ENCODER.encode(opening))
      },
      cancel() {
        if (over()) onGone()
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: HIGH_WATER_MARK }),
  )
  const response = new Response(body, { headers: { ...EVENT_STREAM_HEADERS, ...headers } })
  streams.set(response, guarded)
  return {
    response,
    write: text => guarded.write(ENCODER.encode(text)),
    end: () => over()?.close(),
  }
}
