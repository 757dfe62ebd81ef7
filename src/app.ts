/** The HTTP table of contents: every plugin, in mount order. */
import { Elysia } from 'elysia'
import { account } from './account/index.ts'
import { admin } from './admin/index.ts'
import type { Deps } from './deps.ts'
import { assets } from './http/assets.ts'
import { serveDirectly } from './http/direct.ts'
import { errorBoundary, openErrorResponse } from './http/error-boundary.ts'
import { health } from './http/health.ts'
import { home } from './http/home.ts'
import { metrics } from './http/metrics.ts'
import { openOriginCheck, origin } from './http/origin.ts'
import { openRequests, requests } from './http/requests.ts'
import { openRoutes } from './http/routes.ts'
import { mcp } from './mcp/index.ts'
import { probe } from './mcp/probe.ts'
import { oauth } from './oauth/index.ts'
import { signin } from './signin/index.ts'
import { providerStates } from './signin/watch.ts'

export const createApp = (deps: Deps) => {
  const routes = openRoutes()
  const steps = {
    requests: openRequests(deps, routes),
    checkOrigin: openOriginCheck(deps, routes),
    errorResponse: openErrorResponse(deps, routes),
  }
  const app = routes.complete(
    // strictPath: `/token/` is not `/token`, so that rules for a path cannot be bypassed. standardHostname: otherwise Elysia
    // searches for the path after the fourth character of the host, and `http://mcp/x/token` would be `/token`.
    new Elysia({ strictPath: true, normalize: false, handler: { standardHostname: false } })
      .use(requests(steps.requests))
      .use(errorBoundary(steps.errorResponse))
      .use(origin(steps.checkOrigin))
      .use(health(deps, () => ({ providers: providerStates(deps.providers) })))
      .use(metrics(deps))
      .use(assets(deps))
      .use(home(deps))
      .use(signin(deps))
      .use(account(deps))
      .use(admin(deps))
      .use(oauth(deps))
      .use(mcp(deps))
      .use(probe(deps)),
  )
  return serveDirectly(app, steps)
}
