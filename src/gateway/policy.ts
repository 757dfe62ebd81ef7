/** Access rules of an upstream: globs on names, URIs, users and clients, and the scopes that a call needs. */

export interface Filter {
  /** Absent: everything. */
  allow?: string[]
  /** Wins over `allow`. */
  deny?: string[]
}

/**
 * Whether a text matches a glob. `*` matches any characters, also none and also `/`, so that rules on URIs have no gaps;
 * everything else matches itself. The time is bounded by the product of both lengths, since texts come from upstreams.
 */
export function matches(glob: string, text: string): boolean {
  let g = 0
  let t = 0
  let star = -1
  let resume = 0
  while (t < text.length) {
    if (glob[g] === '*') {
      star = g++
      resume = t
    } else if (glob[g] === text[t]) {
      g++
      t++
    } else if (star >= 0) {
      g = star + 1
      t = ++resume
    } else return false
  }
  while (glob[g] === '*') g++
  return g === glob.length
}

const matchesAny = (globs: readonly string[], text: string) => globs.some(glob => matches(glob, text))

/** Whether a tool, prompt or resource may be listed and used, by its name (or URI) at the upstream. */
export function isAllowed(filter: Filter, name: string): boolean {
  if (filter.deny && matchesAny(filter.deny, name)) return false
  return !filter.allow || matchesAny(filter.allow, name)
}

/**
 * Whether a caller may use an upstream: a user by e-mail address, ignoring case; a machine (no user) by client id. A glob
 * with `@` applies only to e-mail addresses, so a client id that looks like one gains nothing.
 */
export function mayUse(
  users: readonly string[] | undefined,
  who: { user?: { email: string }; clientId: string },
): boolean {
  if (!users) return true
  const { user } = who
  if (user) return users.some(glob => matches(glob.toLowerCase(), user.email.toLowerCase()))
  return users.some(glob => !glob.includes('@') && matches(glob, who.clientId))
}

/** The scopes that a call needs for its tool, prompt or resource: those of all matching globs. */
export function scopesOf(scopes: Readonly<Record<string, string>>, name: string): string[] {
  const needed = new Set<string>()
  for (const glob in scopes) if (matches(glob, name)) needed.add(scopes[glob]!)
  return [...needed]
}

const DEEPEST = 64

/** Redacts arguments for the audit log: replaces the values of matching keys, ignoring case, at every depth. */
export function redact(value: unknown, keys: readonly string[], depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth === DEEPEST) return '[too deep]'
  if (Array.isArray(value)) return value.map(item => redact(item, keys, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      const hidden = keys.some(glob => matches(glob.toLowerCase(), key.toLowerCase()))
      return [key, hidden ? '[redacted]' : redact(inner, keys, depth + 1)]
    }),
  )
}
