/** What a route says of itself, and what follows for its path: how errors are shown, CORS, preflight, and 405. */
import type { AnyElysia } from 'elysia'
import { OAuthError } from '../lib/errors.ts'

interface Traits {
  /** Errors are pages, unless the caller asks for JSON. */
  page?: true
  /** Web pages may call it, without cookies, which an MCP client in a browser needs: of any site, or of known origins. */
  crossOrigin?: 'any' | 'known'
  /** Polled by monitoring, so not logged. */
  unlogged?: true
}

/** Options of a route that people look at. */
export const PAGE = { detail: { page: true } satisfies Traits as object }
/** Options of a route that web pages of any site may call. */
export const CROSS_ORIGIN = { detail: { crossOrigin: 'any' } satisfies Traits as object }
/** Options of a route that web pages of known origins may call; others are refused, at the preflight already. */
export const KNOWN_ORIGINS = { detail: { crossOrigin: 'known' } satisfies Traits as object }

/** Options of a route that monitoring polls. */
export const UNLOGGED = { detail: { unlogged: true } satisfies Traits as object }

export interface Routes {
  /** @param path The pattern of the route that a request met; absent if it met none. */
  traitsOf(path: string | undefined): Traits
  /** Reads what the routes of an app say, and answers the other methods of each path. Once, when all are there. */
  complete<T extends AnyElysia>(app: T): T
}

export function openRoutes(): Routes {
  const traits = new Map<string, Traits>()
  return {
    traitsOf: path => traits.get(path ?? '') ?? {},
    complete(app) {
      const methods = new Map<string, string[]>()
      for (const { path, method, hooks } of app.routes) {
        traits.set(path, { ...traits.get(path), ...(hooks?.detail as Traits | undefined) })
        methods.set(path, [...(methods.get(path) ?? []), method])
      }
      for (const [path, served] of methods) {
        const allowed = traits.get(path)?.crossOrigin ? [...served, 'OPTIONS'] : served
        if (allowed !== served) app.options(path, () => new Response(null, { status: 204 }))
        const headers = { Allow: [...new Set(allowed)].join(', ') }
        app.all(path, ({ request }) => {
          throw new OAuthError('invalid_request', `This address does not take ${request.method}`, {
            status: 405,
            headers,
          })
        })
      }
      return app
    },
  }
}
