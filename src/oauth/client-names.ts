/** What a client says of itself, made safe to show. */
import type { ClientSource } from '../../sql/clients.ts'

/** A client's name, and who vouches for it. */
export function clientLabel({ id, name, source }: { id: string; name: string; source: ClientSource }) {
  if (source === 'operator') return { name, voucher: { by: 'operator' as const } }
  if (source === 'metadata') return { name, voucher: { by: 'host' as const, host: new URL(id).host } }
  return { name, voucher: { by: 'nobody' as const } }
}

/** A name that can be shown: plain, one line, at most 80 characters. */
export function displayName(given: string | undefined): string {
  return (
    printableText(given ?? '')
      .slice(0, 80)
      .trim() || 'Unnamed client'
  )
}

/** The other fields that are kept and repeated, never fetched. */
export function clientDetails(metadata: {
  client_uri?: string | undefined
  software_id?: string | undefined
  software_version?: string | undefined
}): Record<string, string> {
  return Object.fromEntries(
    (['client_uri', 'software_id', 'software_version'] as const).flatMap(key => {
      const value = printableText(metadata[key] ?? '')
      return value && (key !== 'client_uri' || isWebUrl(value)) ? [[key, value]] : []
    }),
  )
}

/** Without control, format (bidi, zero width) and private characters, which could make a name look like another one. */
function printableText(value: string): string {
  return value
    .slice(0, 2000) // before anything that takes longer than the text is long
    .normalize('NFC')
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '')
    .replace(/\s+/g, ' ')
    .trim()
}

function isWebUrl(value: string): boolean {
  return /^https?:$/.test(URL.parse(value)?.protocol ?? '')
}
