/** Parses JSON with comments and trailing commas, and maps each value to its line and column. */
import {
  findNodeAtLocation,
  getNodeValue,
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
} from 'jsonc-parser'
import { UsageError } from '../lib/errors.ts'

export type Path = readonly (string | number)[]

export interface Source {
  /** The parsed document; its objects have no prototype, so `__proto__` is a key like any other. */
  value: unknown
  /** One line about a value: file, line, column, path inside the document, and the message. */
  line(path: Path, message: string): string
  /** Duplicate members of objects under `path`; JSON parsers silently keep the last one. */
  duplicates(path: Path): Path[]
}

/** Findings while a document is read; if there is any problem, the whole document is refused at the end. */
export interface Report {
  source: Source
  problems: string[]
  warnings: string[]
}

export function problem(report: Report, path: Path, message: string): void {
  report.problems.push(report.source.line(path, message))
}

export function warn(report: Report, path: Path, message: string): void {
  report.warnings.push(report.source.line(path, message))
}

/** @throws UsageError with line and column of the first place that is not JSON. */
export function readSource(file: string, written: string): Source {
  // Replaced, not removed, so that offsets stay correct.
  const text = written.replace(/^\uFEFF/, ' ')
  const place = (offset: number) => {
    const before = text.slice(0, offset)
    return `${file}:${before.split('\n').length}:${offset - before.lastIndexOf('\n')}`
  }
  if (!text.trim()) throw new UsageError(`${file} is empty; write an object with "mcpServers"`)
  const errors: ParseError[] = []
  const root = parse(file, text, errors)
  const [first] = errors
  if (first || !root) {
    const what = first
      ? printParseErrorCode(first.error)
          .replace(/(?!^)[A-Z]/g, ' $&')
          .toLowerCase()
      : 'no value'
    throw new UsageError(`${place(first?.offset ?? 0)} is not valid JSON: ${what}`)
  }
  return {
    value: getNodeValue(root),
    line: (path, message) =>
      `${place(nearest(root, path).offset)} ${[path.join('.'), message].filter(Boolean).join(' ')}`,
    duplicates: path => {
      const node = findNodeAtLocation(root, [...path])
      return node ? duplicateMembers(node, path) : []
    },
  }
}

function parse(file: string, text: string, errors: ParseError[]): Node | undefined {
  try {
    return parseTree(text, errors, { allowTrailingComma: true })
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`${file} is nested too deeply`)
    throw error
  }
}

/** The value at a path; if a member is missing, the object that should have it. */
function nearest(root: Node, path: Path): Node {
  for (let length = path.length; length > 0; length--) {
    const node = findNodeAtLocation(root, path.slice(0, length) as (string | number)[])
    if (node) return node.parent?.type === 'property' ? node.parent : node
  }
  return root
}

function duplicateMembers(node: Node, path: Path): Path[] {
  const seen = new Set<string>()
  return (node.children ?? []).flatMap((child, index) => {
    if (node.type !== 'object') return duplicateMembers(child, [...path, index])
    const key = String(child.children?.[0]?.value)
    const value = child.children?.[1]
    const again = seen.has(key) ? [[...path, key]] : []
    seen.add(key)
    return value ? [...again, ...duplicateMembers(value, [...path, key])] : again
  })
}
