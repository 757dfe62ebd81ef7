/** Words of ASCII with single spaces between them, as most texts are. */
const PLAIN = /^[!-~]+(?: [!-~]+)*$/

/**
 * Makes untrusted text safe to display: one line, without control, format (bidi, zero width) and private-use characters,
 * which could disguise it.
 *
 * @param limit Maximum number of characters.
 */
export function printableText(value: string, limit: number): string {
  if (value.length <= limit && PLAIN.test(value)) return value
  return value
    .slice(0, 2000) // before normalization, to bound its cost
    .normalize('NFC')
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, limit)
    .trim()
}

/**
 * Shows untrusted text of several lines completely: characters that are invisible, or that disguise others, are written as
 * code points, such as `⟨U+202E⟩`.
 *
 * @param limit Maximum number of characters that are read.
 */
export function revealedText(value: string, limit: number): string {
  return value
    .slice(0, limit)
    .replace(/\r\n/g, '\n')
    .replace(/[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu, character =>
      /[\n\t]/.test(character)
        ? character
        : `⟨U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}⟩`,
    )
}
