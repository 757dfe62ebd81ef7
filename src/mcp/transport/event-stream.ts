/** Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) that are pushed to a reader. */

const ENCODER = new TextEncoder()

/** Without these a proxy may hold events back. */
const HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
}

export interface EventStream {
  response: Response
  write(text: string): void
  /** Ends it after what was written; what is written later goes nowhere. */
  end(): void
}

/** @param onGone Called when the reader goes away before the end. */
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
