/** Places in long lists, as they stand in addresses of pages. */

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'

/** The user after whom a page begins; the beginning for anything unexpected. */
export function placeAfter(text: string | undefined): { id: string; email: string } | undefined {
  const [, id, email] = new RegExp(`^(${UUID}) (.{1,320})$`).exec(text ?? '') ?? []
  return id !== undefined && email !== undefined ? { id, email } : undefined
}

export const formatBefore = ({ created_at, id }: { created_at: Date; id: string }): string =>
  `${created_at.getTime()} ${id}`

/** What is older than a page's first row; the newest for anything unexpected, such as a time after the year 5138. @param ids Pattern of ids. */
export function placeBefore(text: string | undefined, ids: string): { created_at: Date; id: string } | undefined {
  const [, at, id] = new RegExp(`^(\\d{1,14}) (${ids})$`).exec(text ?? '') ?? []
  const created_at = new Date(Number(at))
  return id !== undefined && !Number.isNaN(created_at.getTime()) ? { created_at, id } : undefined
}

export const GRANT_IDS = UUID
export const USER_IDS = UUID
export const CLIENT_IDS = '[\\x21-\\x7e]{1,2000}'

/** The address of a page, without parameters that are empty. */
export function address(path: string, params: Record<string, string | undefined>): string {
  const given = Object.entries(params).filter((entry): entry is [string, string] => Boolean(entry[1]))
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`
}
