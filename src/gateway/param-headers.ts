/**
 * `Mcp-Param-*` headers of 2026-07-28 (Streamable HTTP, "Custom Headers from Tool Parameters"): which arguments a tool's
 * schema repeats as headers, how values are encoded, and whether headers and body match.
 */
import { isObject } from './messages.ts'

export interface ParamHeader {
  /** Path to the value inside the arguments. */
  path: readonly string[]
  /** As declared: `Mcp-Param-{name}`. */
  name: string
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const DECLARES = 'x-mcp-header'
const TYPES: ReadonlySet<unknown> = new Set(['string', 'integer', 'boolean'])
const PREFIX = '=?base64?'
const SUFFIX = '?='
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const DECIMAL = /^-?\d+(\.\d+)?$/

/** The headers that a schema declares, or why the declaration is invalid. The depth of the schema must be bounded. */
export function declaredHeaders(schema: unknown): { headers: readonly ParamHeader[] } | { problem: string } {
  const headers: ParamHeader[] = []
  const seen = new Set<string>()
  /** @param path Undefined where a node is not reached through `properties` alone: a declaration there is invalid. */
  const visit = (node: unknown, path: readonly string[] | undefined): string | undefined => {
    if (Array.isArray(node)) return firstProblem(node.map(item => () => visit(item, undefined)))
    if (!isObject(node)) return undefined
    if (Object.hasOwn(node, DECLARES)) {
      const name = node[DECLARES]
      if (!path || path.length === 0) return 'x-mcp-header is not on a property reached through properties alone'
      if (typeof name !== 'string' || !TOKEN.test(name)) return 'x-mcp-header is not a header name'
      if (!TYPES.has(node.type)) return 'x-mcp-header is on a property that is not a string, integer or boolean'
      if (seen.has(name.toLowerCase())) return 'two properties have the same x-mcp-header'
      seen.add(name.toLowerCase())
      headers.push({ path, name })
    }
    return firstProblem(
      Object.entries(node).map(([key, value]) => () => {
        if (key === 'properties' && isObject(value))
          return firstProblem(
            Object.entries(value).map(
              ([name, child]) =>
                () =>
                  visit(child, path && [...path, name]),
            ),
          )
        // Data inside a schema is not searched.
        return DATA.has(key) ? undefined : visit(value, undefined)
      }),
    )
  }
  const problem = visit(schema, [])
  return problem === undefined ? { headers } : { problem }
}

const DATA: ReadonlySet<string> = new Set(['const', 'default', 'enum', 'examples', DECLARES])

function firstProblem(checks: (() => string | undefined)[]): string | undefined {
  for (const check of checks) {
    const problem = check()
    if (problem !== undefined) return problem
  }
  return undefined
}

/** The headers of one call. Absent and null arguments produce none. */
export function paramHeaders(
  declared: readonly ParamHeader[],
  args: Record<string, unknown> | undefined,
): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const { path, name } of declared) {
    const text = textOf(valueAt(args, path))
    if (text !== undefined) headers[`Mcp-Param-${name}`] = encodeHeaderValue(text)
  }
  return headers
}

/**
 * Checks that a client's headers match its arguments.
 *
 * @param sent Headers by lowercase name.
 * @returns the name of a header that does not match.
 */
export function mismatchedHeader(
  declared: readonly ParamHeader[],
  args: Record<string, unknown> | undefined,
  sent: ReadonlyMap<string, string>,
): string | undefined {
  for (const { path, name } of declared) {
    const value = valueAt(args, path)
    const text = textOf(value)
    if (text === undefined) continue
    const header = sent.get(`mcp-param-${name.toLowerCase()}`)
    const decoded = header === undefined ? undefined : decodeHeaderValue(header)
    const same =
      decoded === text ||
      (typeof value === 'number' && decoded !== undefined && DECIMAL.test(decoded) && Number(decoded) === value)
    if (!same) return `Mcp-Param-${name}`
  }
  return undefined
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  let node: unknown = root
  for (const key of path) node = isObject(node) && Object.hasOwn(node, key) ? node[key] : undefined
  return node
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return String(value)
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? undefined : String(value)
}

/** Encodes a header value: plain ASCII as is, anything else as `=?base64?…?=`. */
export function encodeHeaderValue(text: string): string {
  const plain = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/.test(text)
  if (plain && !(text.startsWith(PREFIX) && text.endsWith(SUFFIX))) return text
  return `${PREFIX}${Buffer.from(text, 'utf8').toString('base64')}${SUFFIX}`
}

/** @returns undefined if it is marked as Base64 but is not valid. */
export function decodeHeaderValue(value: string): string | undefined {
  if (!value.startsWith(PREFIX) || !value.endsWith(SUFFIX) || value.length < PREFIX.length + SUFFIX.length) return value
  const base64 = value.slice(PREFIX.length, -SUFFIX.length)
  if (!BASE64.test(base64)) return undefined
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(base64, 'base64'))
  } catch {
    return undefined // not UTF-8: reported as a mismatch
  }
}
