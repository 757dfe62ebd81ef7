/** Reading event streams, piece by piece. */

export interface ReadStream {
  answer: Response
  /** Reads until the data contains `until` or the stream ends. @returns everything read so far. */
  readUntil(until: string): Promise<string>
  /** Reads to the end. @returns everything read. */
  rest(): Promise<string>
  /** Disconnects, as a client that is closed does. */
  close(): void
}

/** @param stop Aborts the request. */
export async function openStream(request: Promise<Response>, stop: AbortController): Promise<ReadStream> {
  const answer = await request
  const reader = answer.body?.getReader()
  const decoder = new TextDecoder()
  let seen = ''
  const read = async (enough: () => boolean) => {
    while (reader && !enough()) {
      const { done, value } = await reader.read()
      if (done) break
      seen += decoder.decode(value, { stream: true })
    }
    return seen
  }
  return {
    answer,
    readUntil: until => read(() => seen.includes(until)),
    rest: () => read(() => false),
    close: () => stop.abort(),
  }
}
