/** The texts of everything that a connecting person sees, by language. */
import { en } from './en.ts'

export type Texts = { readonly [key in keyof typeof en]: string }
export type TextKey = keyof typeof en

/** By language tag (RFC 5646). */
export const TEXTS = { en } satisfies Record<string, Texts>

export type Language = keyof typeof TEXTS

/** Fills the placeholders of a text: `{name}`. The result is not escaped. */
export function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{(\w+)\}/g, (placeholder, name: string) => values[name] ?? placeholder)
}
