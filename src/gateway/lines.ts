/** Splits a byte stream into lines of text, of bounded length. */
import { StringDecoder } from 'node:string_decoder'

const NEWLINE = 10

/**
 * Decodes what has arrived at once, so that a long line is not decoded in one go at its end.
 *
 * @param onLine Gets each line and its length in bytes.
 * @param onTooLong Called once, when a line exceeds `maxBytes`; the line is discarded, and no more lines follow.
 */
export function splitLines(
  maxBytes: number,
  onLine: (line: string, bytes: number) => void,
  onTooLong: () => void,
): (chunk: Buffer) => void {
  const decoder = new StringDecoder('utf8')
  /** The beginning of a line. */
  let parts: string[] = []
  let bytes = 0
  let over = false
  const stop = () => {
    over = true
    parts = []
    onTooLong()
  }
  return chunk => {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0 && !over; end = chunk.indexOf(NEWLINE, start)) {
      const length = bytes + end - start
      if (length > maxBytes) return stop()
      const line =
        bytes === 0
          ? chunk.toString('utf8', start, end)
          : parts.join('') + decoder.write(chunk.subarray(start, end)) + decoder.end()
      start = end + 1
      parts = []
      bytes = 0
      onLine(line, length)
    }
    if (over || start === chunk.length) return
    bytes += chunk.length - start
    if (bytes > maxBytes) stop()
    else parts.push(decoder.write(chunk.subarray(start)))
  }
}
