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
  return {
    response: new Response(body, { headers: { ...HEADERS, ...headers } }),
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
