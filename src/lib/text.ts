/**
 * Text of a stranger that may be shown: one line, without control, format (bidi, zero width) and private-use characters,
 * which could make it look like something else.
 *
 * @param limit Characters that are kept.
 */
export function printableText(value: string, limit: number): string {
  return value
    .slice(0, 2000) // before anything that takes longer than the text is long
    .normalize('NFC')
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, limit)
    .trim()
}
