/**
 * Parses the answer to a list request when it is very long: an upstream may list a hundred thousand tools, and parsing them
 * all at once would block the event loop. Only the first items are used, so only they are parsed.
 */
import { type Kind, kindOfMethod } from './lists.ts'
import { isObject } from './messages.ts'

/** Shorter texts are parsed whole. In characters, like the others. */
const LONG = 524_288
/** Where the list must begin, and how much of it may be searched for the end of the items that are used. */
const HEAD = 65_536
const SEARCHED = 4_194_304
/** How many closing brackets, from the end, may be the list's. */
const TRIES = 8

/**
 * @param methodOf The method of the request with this id, if it waits for an answer.
 * @param most How many items are used. The list has more; its length is an estimate, since the others are left out.
 * @throws SyntaxError
 */
export function parseAnswer(text: string, methodOf: (id: number) => string | undefined, most: number): unknown {
  return (text.length > LONG ? parseStart(text, methodOf, most) : undefined) ?? JSON.parse(text)
}

/** @returns undefined if it is not the answer to a list request, or not recognized as one. */
function parseStart(text: string, methodOf: (id: number) => string | undefined, most: number): object | undefined {
  const id = idOf(text)
  const kind = id === undefined ? undefined : kindOfMethod(methodOf(id) ?? '')
  const opening = kind && new RegExp(`"${kind}"\\s*:\\s*\\[`).exec(text.slice(0, HEAD))
  if (!opening) return undefined
  const begin = opening.index + opening[0].length
  const end = endOfItems(text, begin, most + 1)
  if (end === undefined) return undefined
  const head = text.slice(0, end)
  for (let tries = 0, close = text.length; tries < TRIES; tries++) {
    close = text.lastIndexOf(']', close - 1)
    if (close <= end) return undefined
    const list = listIn(head + text.slice(close), id, kind)
    if (!list) continue
    const [answer, items] = list
    items.length = Math.max(items.length, Math.round((items.length * (close - begin)) / (end - begin)))
    return answer
  }
  return undefined
}

function listIn(text: string, id: unknown, kind: Kind): [answer: object, items: unknown[]] | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (!isObject(value) || value.id !== id || !isObject(value.result)) return undefined
    const items = value.result[kind]
    return Array.isArray(items) ? [value, items] : undefined
  } catch {
    return undefined // that bracket does not close the list
  }
}

/** The id, which stands before or after the result. */
function idOf(text: string): number | undefined {
  const [, id] =
    /^\s*\{[^{[]{0,200}?"id"\s*:\s*(\d+)/.exec(text.slice(0, 300)) ??
    /"id"\s*:\s*(\d+)\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$/.exec(text.slice(-300)) ??
    []
  return id === undefined ? undefined : Number(id)
}

/** @returns where the first `count` items of a JSON array end, at their comma; undefined if it has no more, or they are too long. */
function endOfItems(text: string, begin: number, count: number): number | undefined {
  const last = Math.min(text.length, begin + SEARCHED)
  let depth = 0
  let items = 0
  for (let at = begin; at < last; at++) {
    const char = text[at]
    if (char === '"') at = endOfString(text, at)
    else if (char === '{' || char === '[') depth++
    else if (char === '}' || char === ']') {
      if (--depth < 0) return undefined
    } else if (char === ',' && depth === 0 && ++items === count) return at
  }
  return undefined
}

/** @param opening Where the opening quote is. */
function endOfString(text: string, opening: number): number {
  for (let at = text.indexOf('"', opening + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let escapes = 0
    while (text[at - 1 - escapes] === '\\') escapes++
    if (escapes % 2 === 0) return at
  }
  return text.length
}
