/** The texts of everything that a connecting person sees, by language: `account/` has those of the account. */
import { account as accountDe } from './account/de.ts'
import { account as accountEn } from './account/en.ts'
import { account as accountEs } from './account/es.ts'
import { account as accountFr } from './account/fr.ts'
import { account as accountJa } from './account/ja.ts'
import { account as accountZhHans } from './account/zh-hans.ts'
import { de } from './de.ts'
import { en } from './en.ts'
import { es } from './es.ts'
import { fr } from './fr.ts'
import { ja } from './ja.ts'
import { zhHans } from './zh-hans.ts'

const english = { ...en, ...accountEn }

export type TextKey = keyof typeof english
export type Texts = { readonly [key in TextKey]: string }

/** By language tag (RFC 5646). */
export const TEXTS = {
  en: english,
  de: { ...de, ...accountDe },
  es: { ...es, ...accountEs },
  fr: { ...fr, ...accountFr },
  ja: { ...ja, ...accountJa },
  'zh-Hans': { ...zhHans, ...accountZhHans },
} satisfies Record<string, Texts>

export type Language = keyof typeof TEXTS

/** Fills the placeholders of a text: `{name}`. The result is not escaped. */
export function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{(\w+)\}/g, (placeholder, name: string) => values[name] ?? placeholder)
}
