/**
 * What was typed into a form, kept in the address of its page while an administrator signs in again. Signed for its user, so
 * that nobody else's link fills a form in.
 */
import type { Base } from '../base.ts'
import { hmac, sameBytes } from '../lib/crypto.ts'

/** A longer form is lost: the sign-in page does not return to longer addresses. */
const LONGEST = 900

export function keepForm(base: Base, userId: string, page: string, fields: object): string | undefined {
  const text = Buffer.from(JSON.stringify(fields)).toString('base64url')
  const kept = `${text}.${signature(base, userId, page, text)}`
  return kept.length > LONGEST ? undefined : kept
}

/** The fields; undefined if there are none, or they are not this user's. */
export function keptForm(base: Base, userId: string, page: string, kept = ''): unknown {
  const [text = '', signed = ''] = kept.split('.')
  if (!text || !sameBytes(Buffer.from(signed), Buffer.from(signature(base, userId, page, text)))) return undefined
  return JSON.parse(Buffer.from(text, 'base64url').toString())
}

const signature = (base: Base, userId: string, page: string, text: string) =>
  hmac(base.secrets.csrf, `kept form ${userId} ${page} ${text}`).toString('base64url')
