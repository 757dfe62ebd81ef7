/** The device authorization endpoint (RFC 8628 3.1) and the pages where a user enters and approves a code (3.3). */

import { Elysia } from 'elysia'
import { z } from 'zod'
import type { DeviceRequest } from '../../sql/device-codes.ts'
import { deviceEntry, deviceEntryPage, deviceRequestPage, deviceStatus } from '../../views/device.tsx'
import { clientAddress } from '../http/client-address.ts'
import { noStoreJson } from '../http/json.ts'
import { isFragmentRequest, openPage, seeOther, wantsJson } from '../http/pages.ts'
import { checkParams, queryParams, readParams } from '../http/params.ts'
import { CROSS_ORIGIN, PAGE } from '../http/routes.ts'
import { csrfToken, requireCsrf, session, type Viewer } from '../http/session.ts'
import { type PageDeps, page } from '../http/shell.ts'
import { see, traced } from '../http/traced.ts'
import { AppError, OAuthError } from '../lib/errors.ts'
import { authenticateRequest } from './clients/authentication.ts'
import { requireGrantType } from './clients/index.ts'
import { clientLabel } from './clients/names.ts'
import { grantableBy } from './consents.ts'
import type { OAuthDeps } from './deps.ts'
import { decideDeviceRequest, findEnteredRequest, requestDeviceAuthorization } from './device-requests.ts'
import { DEVICE_CODE_GRANT } from './grants/types.ts'
import { enterUserCode } from './user-code-guesses.ts'
import { formatUserCode } from './user-codes.ts'

/** The CSRF interaction of the code form; each request has its own. */
const ENTER = 'device'

const WRONG_CODE =
  'No device is waiting with this code. Compare it with the code on your device; a code works once and expires after a few minutes.'

const decisionSchema = z.object({ id: z.uuid(), decision: z.enum(['approve', 'deny']), csrf: z.string().optional() })

export const device = (deps: OAuthDeps & PageDeps) =>
  new Elysia({ name: 'oauth-device' })
    .use(session(deps))
    .post(
      '/api/oauth/device',
      ({ request, server }) =>
        traced(deps, { request, server }, 'device code', async () => {
          const { client, params, ip, userAgent } = await authenticateRequest(deps, { request, server })
          requireGrantType(deps, client, DEVICE_CODE_GRANT, ip)
          const { scope, resource } = params
          return noStoreJson(await requestDeviceAuthorization(deps, { client, scope, resource, ip, userAgent }))
        }),
      { parse: 'none', ...CROSS_ORIGIN },
    )
    .get(
      '/auth/device',
      ({ request, viewer }) =>
        page(deps, request, shell => {
          const { code = '' } = queryParams(request, { typed: 'code' })
          return deviceEntryPage({ ...entryProps(deps, viewer), shell, code })
        }),
      { signedIn: true, ...PAGE },
    )
    .post(
      '/api/oauth/device/verify',
      async ({ request, server, viewer }) => {
        const params = await readParams(request, { typed: 'user_code' })
        requireCsrf(deps, { request, server }, viewer, ENTER, params)
        const ip = clientAddress(deps, request, server)
        const entered = await enterOrExplain(deps, viewer, params.user_code ?? '', ip, request)
        if (entered instanceof Response) {
          see(deps, { request, server }, 'approval', entered.status, 'wrong user code')
          return entered
        }
        if (!wantsJson(request)) return openPage(request, `/auth/device/${entered.id}`)
        return noStoreJson(requestProps(deps, viewer, await requireEntered(deps, viewer, entered.id)))
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )
    .get(
      '/auth/device/:id',
      async ({ params, viewer, request }) => {
        const props = requestProps(deps, viewer, await requireEntered(deps, viewer, params.id))
        return page(deps, request, shell => deviceRequestPage({ ...props, shell }))
      },
      { signedIn: true, ...PAGE },
    )
    // Polled by htmx: the part of the page that changes.
    .get(
      '/auth/device/:id/status',
      async ({ params, viewer, request }) => {
        const props = requestProps(deps, viewer, await requireEntered(deps, viewer, params.id))
        return page(deps, request, shell => deviceStatus({ ...props, shell }))
      },
      { signedIn: true, ...PAGE },
    )
    .post(
      '/api/oauth/device/authorize',
      async ({ request, server, viewer }) => {
        const params = checkParams(await readParams(request), decisionSchema)
        requireCsrf(deps, { request, server }, viewer, params.id, params as Record<string, string>)
        const entered = await requireEntered(deps, viewer, params.id)
        const decided = await decideDeviceRequest(
          deps,
          viewer,
          entered,
          params.decision,
          clientAddress(deps, request, server),
        )
        const denied = params.decision === 'deny' ? 'denied' : undefined
        const outcome = decided ? denied : 'already decided or expired'
        see(deps, { request, server }, 'approval', decided ? 200 : 400, outcome, entered.client_id)
        // If it was already decided or has expired, the page shows that.
        if (!wantsJson(request)) return seeOther(`/auth/device/${params.id}`)
        if (!decided) throw new OAuthError('invalid_request', 'The request was already decided or has expired')
        return noStoreJson({ status: params.decision === 'approve' ? 'approved' : 'denied' })
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )

/** @returns the request's id, or the form again with the typed code and the problem. */
async function enterOrExplain(
  deps: OAuthDeps & PageDeps,
  viewer: Viewer,
  typed: string,
  ip: string | null,
  request: Request,
): Promise<{ id: string } | Response> {
  const json = wantsJson(request)
  const explain = (problem: string, status: number) => {
    const props = { ...entryProps(deps, viewer), code: typed, problem }
    const show = isFragmentRequest(request) ? deviceEntry : deviceEntryPage
    return page(deps, request, shell => show({ ...props, shell }), { status })
  }
  if (typed === '') {
    if (json) throw new OAuthError('invalid_request', 'The parameter user_code is missing')
    return explain('Enter the code shown on your device.', 400)
  }
  let triesLeft: number
  try {
    const entered = await enterUserCode(deps, viewer, typed, ip)
    if (entered.id !== undefined) return entered
    triesLeft = entered.triesLeft
  } catch (error) {
    if (json || !(error instanceof OAuthError) || error.status !== 429) throw error
    const response = await explain(error.description, 429)
    response.headers.set('Retry-After', error.headers['Retry-After'] ?? '')
    return response
  }
  const tries = triesLeft === 0 ? 'no tries left for now' : triesLeft === 1 ? '1 try left' : `${triesLeft} tries left`
  const problem = `${WRONG_CODE} You have ${tries}.`
  if (json) throw new OAuthError('invalid_request', problem)
  return explain(problem, 400)
}

async function requireEntered(deps: OAuthDeps, viewer: Viewer, id: string): Promise<DeviceRequest> {
  const entered = z.uuid().safeParse(id).success ? await findEnteredRequest(deps, viewer, id) : undefined
  if (!entered) throw new AppError('There is no such request', 'Enter the code shown on your device.', { status: 404 })
  return entered
}

function entryProps(deps: OAuthDeps, viewer: Viewer) {
  return { csrf: csrfToken(deps, viewer, ENTER) }
}

function requestProps(deps: OAuthDeps, viewer: Viewer, request: DeviceRequest) {
  const scope = request.granted_scope ?? grantableBy(viewer, request.scope)
  return {
    id: request.id,
    email: viewer.email,
    csrf: csrfToken(deps, viewer, request.id),
    state: request.state,
    userCode: formatUserCode(request.user_code),
    client: clientLabel({ id: request.client_id, name: request.client_name, source: request.client_source }),
    resource: request.resource,
    permissions: scope.map(name => ({ scope: name, text: deps.scopes.text(name) })),
    requestedAt: request.created_at.toISOString(),
    minutesAgo: Math.max(0, Math.round((deps.now().getTime() - request.created_at.getTime()) / 60_000)),
    ip: request.request_ip ?? 'unknown',
    agent: request.request_agent ?? 'unknown',
  }
}
