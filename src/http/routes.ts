/** Route traits and what follows from them: how errors are shown, CORS, preflight, and 405. */
import type { AnyElysia } from 'elysia'
import { OAuthError } from '../lib/errors.ts'
import { PREFLIGHT } from './response-headers.ts'

export interface Traits {
  /** Errors are shown as pages, unless the client asks for JSON. */
  page?: true
  /** Which origins may call it from a web page, without cookies, for MCP clients in a browser. */
  crossOrigin?: 'any' | 'known'
  /** Polled by monitoring, so not logged. */
  unlogged?: true
  /** Called so often that `direct` serves it. */
  direct?: true
}

/** Options of a route that serves a page. */
export const PAGE = { detail: { page: true } satisfies Traits as object }
/** Options of a route that web pages of any origin may call. */
export const CROSS_ORIGIN = { detail: { crossOrigin: 'any' } satisfies Traits as object }
/** Options of a route that only web pages of known origins may call; others are refused, including their preflight. */
export const KNOWN_ORIGINS = { detail: { crossOrigin: 'known' } satisfies Traits as object }

/** The same for a route that reads its body itself, and that most requests are for. */
export const DIRECT = {
  parse: 'none',
  detail: { crossOrigin: 'known', direct: true } satisfies Traits as object,
} as const

/** The same for a route that web pages of any origin may call. */
export const DIRECT_CROSS_ORIGIN = {
  parse: 'none',
  detail: { crossOrigin: 'any', direct: true } satisfies Traits as object,
} as const

/** The same for a route that no web page calls. */
export const DIRECT_OWN = { parse: 'none', detail: { direct: true } satisfies Traits as object } as const

/** Options of a route that monitoring polls. */
export const UNLOGGED = { detail: { unlogged: true } satisfies Traits as object }
export const DIRECT_UNLOGGED = { detail: { unlogged: true, direct: true } satisfies Traits as object }

export interface Routes {
  /** @param path The pattern of the matched route; undefined if there is none. */
  traitsOf(path: string | undefined): Traits
  /** Reads the traits of all routes, and adds OPTIONS and 405 for other methods. Call it once, after all routes are mounted. */
  complete<T extends AnyElysia>(app: T): T
}

const NONE: Traits = {}

export function openRoutes(): Routes {
  const traits = new Map<string, Traits>()
  return {
    traitsOf: path => traits.get(path ?? '') ?? NONE,
    complete(app) {
      const methods = new Map<string, string[]>()
      for (const { path, method, hooks } of app.routes) {
        traits.set(path, { ...traits.get(path), ...(hooks?.detail as Traits | undefined) })
        methods.set(path, [...(methods.get(path) ?? []), method])
      }
      for (const [path, served] of methods) {
        const allowed = traits.get(path)?.crossOrigin ? [...served, 'OPTIONS'] : served
        if (allowed !== served) app.options(path, () => new Response(null, { status: 204, headers: PREFLIGHT }))
        const headers = { Allow: [...new Set(allowed)].join(', ') }
        app.all(path, ({ request }) => {
          throw new OAuthError('invalid_request', `This address does not support ${request.method}`, {
            status: 405,
            headers,
          })
        })
      }
      return app
    },
  }
}
