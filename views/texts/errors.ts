/** The errors that a connecting person sees, translated by their English sentences. */
import type { Language } from './index.ts'

type Translations = Readonly<Record<Exclude<Language, 'en'>, string>>

export const ERRORS: Readonly<Record<string, Translations>> = {}

/** A sentence of an error in the reader's language; in English if there is no translation. */
export function translated(language: Language, sentence: string): string {
  return language === 'en' ? sentence : (ERRORS[sentence]?.[language as Exclude<Language, 'en'>] ?? sentence)
}
