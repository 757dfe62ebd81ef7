/** The token of an Authorization header, if it has one. */
export function bearerToken(request: Request): string | undefined {
  return /^bearer +([A-Za-z0-9._~+/-]+=*) *$/i.exec(request.headers.get('authorization') ?? '')?.[1]
}
