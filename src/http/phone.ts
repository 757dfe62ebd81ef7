import type { Base } from '../base.ts'
import { isLoopbackHost } from '../lib/networks.ts'
import { qrPath } from '../lib/qr.ts'

/** A QR code for going on with a phone; undefined if a phone could not reach this server. */
export function qrForPhone({ config }: Base, url: string): { path: string; size: number } | undefined {
  return isLoopbackHost(new URL(config.BASE_URL).hostname) ? undefined : qrPath(url)
}
