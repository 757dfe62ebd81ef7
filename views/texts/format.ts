/** Numbers and durations in the reader's language. */
import type { Language } from './index.ts'

const UNITS = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
] as const

/** A duration in its largest unit: "90 days". @param seconds Rounded up to whole minutes. */
export function duration(language: Language, seconds: number): string {
  const [unit, size] = UNITS.find(([, size]) => seconds >= size && seconds % size === 0) ?? UNITS[2]
  const count = Math.max(1, Math.ceil(seconds / size))
  return new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long' }).format(count)
}

const exact = new Map<Language, Intl.DateTimeFormat>()

/** A time in UTC, as the language writes it. */
export function exactTime(language: Language, iso: string): string {
  let format = exact.get(language)
  if (!format) {
    format = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' })
    exact.set(language, format)
  }
  return `${format.format(new Date(iso))} UTC`
}

/** "a, b and c". */
export function enumeration(language: Language, items: readonly string[]): string {
  return new Intl.ListFormat(language, { type: 'conjunction' }).format(items)
}
