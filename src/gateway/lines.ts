/** Splits a byte stream into lines of bounded length. */

const NEWLINE = 10

/** @param onTooLong Called once, when a line exceeds `maxBytes`; the line is discarded, and no more lines follow. */
export function splitLines(
  maxBytes: number,
  onLine: (line: Buffer) => void,
  onTooLong: () => void,
): (chunk: Buffer) => void {
  let parts: Buffer[] = []
  let length = 0
  let over = false
  const stop = () => {
    over = true
    parts = []
    onTooLong()
  }
  return chunk => {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0 && !over; end = chunk.indexOf(NEWLINE, start)) {
      const piece = chunk.subarray(start, end)
      start = end + 1
      if (length + piece.length > maxBytes) return stop()
      const line = length === 0 ? piece : Buffer.concat([...parts, piece])
      parts = []
      length = 0
      onLine(line)
    }
    if (over) return
    const rest = chunk.subarray(start)
    length += rest.length
    if (length > maxBytes) stop()
    else if (rest.length > 0) parts.push(rest)
  }
}
