/** A sentence for the next page about what has just been done. It travels in a cookie, signed, so that only we can write it, and only for a minute. */
import type { Base } from '../base.ts'
import { hmac, sameBytes } from '../lib/crypto.ts'
import { readCookie, setCookie } from './cookies.ts'

const COOKIE = 'notice'
const SECONDS = 60
const LIMIT = 1000

/** The Set-Cookie header that says it once, on the next page. @param text A whole sentence, such as "Disconnected Cursor." */
export function noticeCookie(base: Base, text: string): string {
  const value = Buffer.from(text.slice(0, LIMIT)).toString('base64url')
  const until = Math.floor(base.now().getTime() / 1000) + SECONDS
  return setCookie(base.config, COOKIE, `${value}.${until}.${signature(base, value, until)}`, SECONDS)
}

export function readNotice(base: Base, request: Request): string | undefined {
  const [value = '', until = '', signed = ''] = readCookie(base.config, request, COOKIE)?.split('.') ?? []
  if (!value || !sameBytes(Buffer.from(signed), Buffer.from(signature(base, value, Number(until))))) return undefined
  if (Number(until) * 1000 < base.now().getTime()) return undefined
  return Buffer.from(value, 'base64url').toString()
}

export const clearNotice = ({ config }: Base): string => setCookie(config, COOKIE, '', 0)

const signature = (base: Base, value: string, until: number) =>
  hmac(base.secrets.csrf, `notice ${value} ${until}`).toString('base64url')
