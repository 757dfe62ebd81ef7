/** A response with server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). */

const ENCODER = new TextEncoder()

/** Keep proxies from buffering events. */
const HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
}

export interface EventStream {
  response: Response
  write(text: string): void
  /** Ends the stream after the events written so far; later writes are ignored. */
  end(): void
}

const streams = new WeakSet<Response>()

/** Whether events may still come: such a response must be watched over. */
export const isEventStream = (response: Response) => streams.has(response)

/** A response whose events are all known already, so that it need not stay open. */
export function wholeEventStream(text: string, headers: Record<string, string>): Response {
  return new Response(text, { headers: { ...HEADERS, ...headers } })
}

/** @param onGone Called when the reader disconnects before the end. */
export function openEventStream(onGone: () => void, headers: Record<string, string> = {}): EventStream {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  const body = new ReadableStream<Uint8Array>({
    start(opened) {
      controller = opened
    },
    cancel() {
      controller = undefined
      onGone()
    },
  })
  const response = new Response(body, { headers: { ...HEADERS, ...headers } })
  streams.add(response)
  return {
    response,
    write(text) {
      controller?.enqueue(ENCODER.encode(text))
    },
    end() {
      const ending = controller
      controller = undefined
      ending?.close()
    },
  }
}
