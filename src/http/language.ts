import { type Language, TEXTS, type Texts } from '../../views/texts/index.ts'

const LANGUAGES = Object.keys(TEXTS) as Language[]

/** The language of a page: the one that the browser prefers among ours (RFC 9110 12.5.4), else English. */
export function languageOf(request: Request): Language {
  const wanted = (request.headers.get('accept-language') ?? '')
    .slice(0, 200)
    .split(',')
    .map(item => {
      const [tag = '', weight] = item
        .trim()
        .toLowerCase()
        .split(/\s*;\s*q=/)
      return { tag, weight: weight === undefined ? 1 : Number(weight) || 0 }
    })
    .filter(({ weight }) => weight > 0)
    .toSorted((a, b) => b.weight - a.weight)
  for (const { tag } of wanted) {
    const found = LANGUAGES.find(language => speaks(language.toLowerCase(), tag))
    if (found) return found
  }
  return 'en'
}

/** The texts of a page in its language. */
export const textsOf = (request: Request): Texts => TEXTS[languageOf(request)]

/** `de` is read by those who ask for `de-CH`. Simplified Chinese is `zh-Hans`, which most browsers call zh-CN or zh-SG. */
function speaks(language: string, tag: string): boolean {
  if (language === 'zh-hans') return /^zh($|-(hans|cn|sg)\b)/.test(tag)
  return tag === language || tag.startsWith(`${language}-`)
}
