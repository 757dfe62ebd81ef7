/** Logs a child's standard error line by line, and keeps the last lines for the operator. */
import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'

/** Maximum length of a line in characters; the rest is cut off. */
const LONGEST = 4096
const PER_SECOND = 100
const KEPT = 20

export interface StderrLog {
  line(text: string): void
  /** Number of lines of the last second that were not logged. */
  dropped(count: number): void
}

export interface StderrLines {
  /** The last lines, oldest first, including those that were not logged. */
  last(): string[]
}

/** Reads to the end of the stream. If a child writes too much, its stream is paused for the rest of the second. */
export function readStderr(stream: Readable, log: StderrLog): StderrLines {
  const decoder = new StringDecoder('utf8')
  const kept: string[] = []
  let line = ''
  let logged = 0
  let dropped = 0
  let bytes = 0
  let second: NodeJS.Timeout | undefined

  const endOfSecond = () => {
    second = undefined
    if (dropped > 0) log.dropped(dropped)
    logged = dropped = bytes = 0
    stream.resume()
  }
  const take = () => {
    const text = line.endsWith('\r') ? line.slice(0, -1) : line
    line = ''
    if (kept.push(text) > KEPT) kept.shift()
    second ??= setTimeout(endOfSecond, 1000).unref()
    if (logged < PER_SECOND) {
      logged++
      log.line(text)
    } else dropped++
  }
  const extend = (text: string) => {
    line += text.slice(0, LONGEST - line.length)
  }
  stream.on('data', (chunk: Buffer) => {
    const text = decoder.write(chunk)
    let start = 0
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      extend(text.slice(start, end))
      take()
      start = end + 1
    }
    extend(text.slice(start))
    bytes += chunk.length
    if (bytes > FLOOD) {
      second ??= setTimeout(endOfSecond, 1000).unref()
      stream.pause()
    }
  })
  stream.on('error', () => stream.destroy())
  stream.on('close', () => {
    if (line) take()
    clearTimeout(second)
    if (dropped > 0) log.dropped(dropped)
    dropped = 0
  })
  return { last: () => [...kept] }
}

/** Bytes per second after which the stream is paused: far more than 100 lines of 4 KiB. */
const FLOOD = 4_194_304
