/** As `Response.json` writes it. */
export const JSON_TYPE = 'application/json;charset=utf-8'
export const NO_STORE = { 'Content-Type': JSON_TYPE, 'Cache-Control': 'no-store', Pragma: 'no-cache' }
/** As an instance, which a response takes over faster than an object. */
const NO_STORE_JSON = new Headers(NO_STORE)

/** A JSON response that must not be cached (RFC 6749 5.1). */
export function noStoreJson(body: unknown, status = 200, headers?: Record<string, string>): Response {
  const response = new Response(JSON.stringify(body), { status, headers: NO_STORE_JSON })
  for (const name in headers) response.headers.set(name, headers[name]!)
  return response
}

/** JSON that is kept as long as what it is made from is the same object. @param make Makes the document from it. */
export function keptJson<T extends object>(make: (source: T) => unknown): (source: T) => string {
  const kept = new WeakMap<T, string>()
  return source => {
    let text = kept.get(source)
    if (text === undefined) {
      text = JSON.stringify(make(source))
      kept.set(source, text)
    }
    return text
  }
}
