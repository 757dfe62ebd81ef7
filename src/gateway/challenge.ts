/** The parameters of `WWW-Authenticate: Bearer …` (RFC 6750 3, RFC 9728 5.1). */
export interface Challenge {
  error?: string
  scope?: string[]
  resourceMetadata?: string
}

const LONGEST = 4_096

export function challengeOf(header: string | null): Challenge {
  const [, params] = /(?:^|,\s*)Bearer\s+(.*)$/is.exec((header ?? '').slice(0, LONGEST)) ?? []
  if (params === undefined) return {}
  const found = new Map<string, string>()
  for (const [, name, quoted, plain] of params.matchAll(/([a-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/gi)) {
    const key = name!.toLowerCase()
    if (!found.has(key)) found.set(key, quoted?.replace(/\\(.)/g, '$1') ?? plain!)
  }
  const scope = found.get('scope')?.split(' ').filter(isScope)
  const [error, resourceMetadata] = [found.get('error'), found.get('resource_metadata')]
  return {
    ...(error === undefined ? {} : { error }),
    ...(scope && scope.length > 0 ? { scope } : {}),
    ...(resourceMetadata === undefined ? {} : { resourceMetadata }),
  }
}

/** RFC 6749 3.3. */
export const isScope = (text: string): boolean => /^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/.test(text)
