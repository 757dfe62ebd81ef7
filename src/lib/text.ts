/**
 * Makes untrusted text safe to display: one line, without control, format (bidi, zero width) and private-use characters,
 * which could disguise it.
 *
 * @param limit Maximum number of characters.
 */
export function printableText(value: string, limit: number): string {
  return value
    .slice(0, 2000) // before normalization, to bound its cost
    .normalize('NFC')
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, limit)
    .trim()
}
