/**
 * What was typed into a form, kept in the address of its page while its user signs in again. Signed for its user, so
 * that nobody else's link fills a form in.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import type { Base } from '../base.ts'
import { hmac, sameBytes } from '../lib/crypto.ts'

/** A form that is longer, compressed, is lost: the sign-in page does not return to longer addresses. */
const LONGEST = 900
/** Stands in the address for a form that is lost. */
export const LOST = 'too-long'

export function keepForm(base: Base, userId: string, page: string, fields: object): string {
  const text = deflateRawSync(JSON.stringify(fields)).toString('base64url')
  const kept = `${text}.${signature(base, userId, page, text)}`
  return kept.length > LONGEST ? LOST : kept
}

/** The fields; undefined if there are none, or they are not this user's. */
export function keptForm(base: Base, userId: string, page: string, kept = ''): unknown {
  const [text = '', signed = ''] = kept.split('.')
  if (!text || !sameBytes(Buffer.from(signed), Buffer.from(signature(base, userId, page, text)))) return undefined
  return JSON.parse(inflateRawSync(Buffer.from(text, 'base64url')).toString())
}

const signature = (base: Base, userId: string, page: string, text: string) =>
  hmac(base.secrets.csrf, `kept form ${userId} ${page} ${text}`).toString('base64url')
