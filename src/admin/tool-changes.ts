/** What has changed in the tools of an upstream that wait to be accepted, field by field, for showing both side by side. */
import { diffWordsWithSpace } from 'diff'
import { listPendingTools, type PendingTool } from '../../sql/upstreams.ts'
import type { FieldChange, Piece, ToolChange } from '../../views/admin/tool-changes.tsx'
import type { Base } from '../base.ts'
import { printableText, revealedText } from '../lib/text.ts'

/** In the order of the stored text. */
const FIELDS = ['Name', 'Title', 'Description', 'Arguments', 'Result', 'Hints']
const LONGEST = 20_000
/** What takes longer to compare is marked as a whole. */
const COMPARE_MS = 30

export async function changesOf(base: Base, upstream: string, limit: number): Promise<ToolChange[]> {
  return (await listPendingTools(base.sql, upstream, limit)).map(describe)
}

function describe({ name, pending, accepted, offered, principals }: PendingTool): ToolChange {
  const [before, after] = [fieldsOf(accepted), fieldsOf(offered)]
  const fields = FIELDS.flatMap((field, i) =>
    before?.[i] === after?.[i] ? [] : [compare(field, before?.[i], after?.[i])],
  )
  return { name: printableText(name, 256), pending, people: principals, fields, isKnown: before !== undefined }
}

/** @returns undefined if the text was not stored, or was too long to be stored whole. */
function fieldsOf(text: string | null): string[] | undefined {
  if (text === null) return undefined
  try {
    return (JSON.parse(text) as unknown[]).map(value =>
      value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value, null, 2),
    )
  } catch {
    return undefined
  }
}

function compare(field: string, before = '', after = ''): FieldChange {
  const [old, now] = [revealedText(before, LONGEST), revealedText(after, LONGEST)]
  const parts = diffWordsWithSpace(old, now, { timeout: COMPARE_MS })
  const isCut = before.length > LONGEST || after.length > LONGEST
  if (!parts) return { field, before: whole(old), after: whole(now), isCut }
  const side = (not: 'added' | 'removed'): Piece[] =>
    parts.filter(part => !part[not]).map(({ value, added, removed }) => ({ text: value, isChanged: added || removed }))
  return { field, before: side('added'), after: side('removed'), isCut }
}

const whole = (text: string): Piece[] => [{ text, isChanged: true }]
