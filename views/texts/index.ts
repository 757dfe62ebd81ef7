/** The texts of everything that a connecting person sees, by language. */
import { de } from './de.ts'
import { en, type TextKey, type Texts } from './en.ts'
import { es } from './es.ts'
import { fr } from './fr.ts'
import { ja } from './ja.ts'
import { zhHans } from './zh-hans.ts'

export type { TextKey, Texts }

/** By language tag (RFC 5646). */
export const TEXTS = { en, de, es, fr, ja, 'zh-Hans': zhHans } satisfies Record<string, Texts>

export type Language = keyof typeof TEXTS

/** Fills the placeholders of a text: `{name}`. The result is not escaped. */
export function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{(\w+)\}/g, (placeholder, name: string) => values[name] ?? placeholder)
}
