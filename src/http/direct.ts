/**
 * Serves the routes that most requests are for without Elysia, whose hooks and mapping of responses take as long as a bare
 * handler: the same steps around the same handlers, by the router of Bun. Elysia serves them too, where there is no server.
 */
import type { AnyElysia } from 'elysia'
import type { Handled } from './client-address.ts'
import type { ErrorResponse } from './error-boundary.ts'
import { type openOriginCheck, requireOneHost } from './origin.ts'
import type { Requests } from './requests.ts'
import type { Traits } from './routes.ts'

/** The steps around every handler. */
export interface Steps {
  requests: Requests
  checkOrigin: ReturnType<typeof openOriginCheck>
  errorResponse: ErrorResponse
}

type Handler = (handled: Handled & { params: unknown }) => Response | Promise<Response>

/** Call it once, after all routes are mounted. */
export function serveDirectly<T extends AnyElysia>(app: T, steps: Steps): T {
  const served: Record<string, Record<string, ReturnType<typeof directly>>> = {}
  for (const { path, method, handler, hooks } of app.routes)
    if ((hooks?.detail as Traits | undefined)?.direct)
      served[path] = { ...served[path], [method]: directly(path, handler as Handler, steps) }
  app.config.serve = { ...app.config.serve, routes: served }
  return app
}

function directly(route: string, handler: Handler, { requests, checkOrigin, errorResponse }: Steps) {
  return (request: Request & { params: unknown }, server: Handled['server']) => {
    const run = () => {
      requests.begin(request, server)
      requireOneHost(request)
      requests.enter(request, route)
      checkOrigin(request, route)
      return handler({ request, server, params: request.params })
    }
    return requests.around(request, run, error => errorResponse(error, request, route))
  }
}
