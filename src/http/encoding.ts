/** Content codings (RFC 9110 12.5.3). */

/** The coding of a compressed answer: br, gzip, or undefined if the client accepts neither. */
export function encodingOf(request: Request): 'br' | 'gzip' | undefined {
  const accepted = new Set(
    (request.headers.get('accept-encoding') ?? '')
      .split(',')
      .filter(item => !/;\s*q=0(\.0*)?\s*$/.test(item))
      .map(item => item.split(';')[0]!.trim().toLowerCase()),
  )
  return accepted.has('br') ? 'br' : accepted.has('gzip') ? 'gzip' : undefined
}
