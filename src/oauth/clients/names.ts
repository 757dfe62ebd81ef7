/** Client metadata made safe to display. */
import type { ClientSource } from '../../../sql/clients.ts'
import { printableText } from '../../lib/text.ts'

/** A client's name, and who vouches for it. */
export function clientLabel({ id, name, source }: { id: string; name: string; source: ClientSource }) {
  if (source === 'operator') return { name, voucher: { by: 'operator' as const } }
  if (source === 'metadata') return { name, voucher: { by: 'host' as const, host: new URL(id).host } }
  return { name, voucher: { by: 'nobody' as const } }
}

/** A name safe to display: plain text, one line, at most 80 characters. */
export function displayName(given: string | undefined): string {
  return printableText(given ?? '', 80) || 'Unnamed client'
}

/** Other metadata that is stored and returned; its URLs are never fetched. */
export function clientDetails(metadata: {
  client_uri?: string | undefined
  software_id?: string | undefined
  software_version?: string | undefined
}): Record<string, string> {
  return Object.fromEntries(
    (['client_uri', 'software_id', 'software_version'] as const).flatMap(key => {
      const value = printableText(metadata[key] ?? '', 2000)
      return value && (key !== 'client_uri' || isWebUrl(value)) ? [[key, value]] : []
    }),
  )
}

function isWebUrl(value: string): boolean {
  return /^https?:$/.test(URL.parse(value)?.protocol ?? '')
}
