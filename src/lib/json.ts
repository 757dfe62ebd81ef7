/** A text is not JSON, or is JSON that parsers interpret differently. */
export class JsonError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'JsonError'
  }
}

/**
 * Parses JSON and rejects duplicate members, of which some parsers keep the first and others the last (RFC 8259 4).
 *
 * @throws JsonError with a message that quotes nothing of the text.
 */
export function parseJson(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new JsonError('is not valid JSON')
  }
  // Text that is written back as it was has none; most clients write JSON as we do, and the search takes far longer.
  if (JSON.stringify(value) !== text && hasRepeatedMember(text)) throw new JsonError('has a duplicate member')
  return value
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const OPEN = 0x7b
const CLOSE = 0x7d

/** @param text Valid JSON. */
function hasRepeatedMember(text: string): boolean {
  /** The member names of each enclosing object, innermost last. */
  const open: Set<string>[] = []
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char === OPEN) open.push(new Set())
    else if (char === CLOSE) open.pop()
    else if (char === QUOTE) {
      const start = at
      const end = endOfString(text, at)
      at = end
      if (!isFollowedByColon(text, end)) continue
      const raw = text.slice(start + 1, end)
      const name = raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw
      const names = open.at(-1)!
      if (names.has(name)) return true
      names.add(name)
    }
  }
  return false
}

/** The index of the quote that ends the string whose first quote is at `start`. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; ; at++) {
    const char = text.charCodeAt(at)
    if (char === QUOTE) return at
    if (char === BACKSLASH) at++
  }
}

function isFollowedByColon(text: string, end: number): boolean {
  for (let at = end + 1; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char === COLON) return true
    if (char > 0x20) return false
  }
  return false
}
