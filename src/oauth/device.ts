/** The device authorization endpoint (RFC 8628 3.1) and the pages where a user enters and approves a code (3.3). */

import { Elysia } from 'elysia'
import { z } from 'zod'
import type { DeviceRequest } from '../../sql/device-codes.ts'
import {
  deviceEntry,
  deviceEntryPage,
  deviceRequestPage,
  deviceStatusUpdate,
  type EntryProblem,
} from '../../views/device.tsx'
import { clientAddress, type Handled } from '../http/client-address.ts'
import { noStoreJson } from '../http/json.ts'
import { isFragmentRequest, openPage, seeOther, wantsJson } from '../http/pages.ts'
import { checkParams, queryParams, readParams } from '../http/params.ts'
import { qrForPhone } from '../http/phone.ts'
import { openJson } from '../http/response-headers.ts'
import { DIRECT_CROSS_ORIGIN, PAGE } from '../http/routes.ts'
import { csrfToken, requireCsrf, session, type Viewer } from '../http/session.ts'
import { page } from '../http/shell.ts'
import { see, traced } from '../http/traced.ts'
import { AppError, OAuthError } from '../lib/errors.ts'
import { networkOf } from '../lib/networks.ts'
import { type DecisionDeps, describeRequest } from './asking.ts'
import { chosenOf } from './choice.ts'
import { authenticateRequest } from './clients/authentication.ts'
import { requireGrantType } from './clients/index.ts'
import { clientLabel } from './clients/names.ts'
import { grantableBy } from './consents.ts'
import type { OAuthDeps } from './deps.ts'
import { decideDeviceRequest, findEnteredRequest, requestDeviceAuthorization } from './device-requests.ts'
import { DEVICE_CODE_GRANT } from './grants/types.ts'
import { type Blocked, enterUserCode, findBlock, tooManyWrongCodes } from './user-code-guesses.ts'
import { formatUserCode, parseUserCode } from './user-codes.ts'

/** The CSRF interaction of the code form; each request has its own. */
const ENTER = 'device'

const decisionSchema = z.object({ id: z.uuid(), decision: z.enum(['approve', 'deny']), csrf: z.string().optional() })

export const device = (deps: DecisionDeps) => {
  const propsOf = async (viewer: Viewer, id: string, { request, server }: Handled) =>
    requestProps(deps, viewer, await requireEntered(deps, viewer, id), clientAddress(deps, request, server))
  const json = openJson(deps.config, 'any')
  return (
    new Elysia({ name: 'oauth-device' })
      .use(session(deps))
      .post(
        '/api/oauth/device',
        ({ request, server }) =>
          traced(deps, { request, server }, 'device code', async () => {
            const { client, params, ip, userAgent } = await authenticateRequest(deps, { request, server })
            requireGrantType(deps, client, DEVICE_CODE_GRANT, ip)
            const { scope, resource } = params
            return json(await requestDeviceAuthorization(deps, { client, scope, resource, ip, userAgent }))
          }),
        DIRECT_CROSS_ORIGIN,
      )
      .get(
        '/auth/device',
        async ({ request, server, viewer }) => {
          const { code = '' } = queryParams(request, { typed: 'code' })
          const blocked = await findBlock(deps, viewer, clientAddress(deps, request, server))
          if (blocked) return refuseEntry(deps, viewer, code, blocked, request)
          return page(deps, request, shell => deviceEntryPage({ ...entryProps(deps, viewer, code), shell }))
        },
        { signedIn: true, ...PAGE },
      )
      // The address of the form that comes back with a problem, when it is loaded again.
      .get('/api/oauth/device/verify', () => seeOther('/auth/device'), { signedIn: true, ...PAGE })
      .get('/api/oauth/device/authorize', () => seeOther('/auth/device'), { signedIn: true, ...PAGE })
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
          return noStoreJson(toBeApproved(await propsOf(viewer, entered.id, { request, server })))
        },
        { parse: 'none', signedIn: true, ...PAGE },
      )
      .get(
        '/auth/device/:id',
        async ({ params, viewer, request, server }) => {
          const props = await propsOf(viewer, params.id, { request, server })
          return page(deps, request, shell => deviceRequestPage({ ...props, shell }))
        },
        { signedIn: true, ...PAGE },
      )
      // Polled by htmx: the part of the page that changes.
      .get(
        '/auth/device/:id/status',
        async ({ params, viewer, request }) => {
          const entered = await requireEntered(deps, viewer, params.id)
          const { id, state } = entered
          return page(deps, request, shell => deviceStatusUpdate({ shell, id, state, client: labelOf(entered) }))
        },
        { signedIn: true, ...PAGE },
      )
      .post('/api/oauth/device/authorize', context => decide(deps, context.viewer, context), {
        parse: 'none',
        signedIn: true,
        ...PAGE,
      })
  )
}

/** The answer to a program that has entered a code. */
function toBeApproved({ opened, usedBefore, lasts, sameNetwork, ...props }: Awaited<ReturnType<typeof requestProps>>) {
  return { ...props, ip: props.ip ?? 'unknown', agent: props.agent ?? 'unknown' }
}

async function decide(deps: DecisionDeps, viewer: Viewer, { request, server }: Handled): Promise<Response> {
  const form = await readParams(request)
  const { id, decision } = checkParams(form, decisionSchema)
  requireCsrf(deps, { request, server }, viewer, id, form)
  const ip = clientAddress(deps, request, server)
  const entered = await requireEntered(deps, viewer, id)
  const scope = chosenOf(deps.scopes, grantableBy(viewer, entered.scope), form)
  if (decision === 'approve' && form.choose !== undefined && scope.length === 0 && entered.state === 'undecided') {
    const props = await requestProps(deps, viewer, entered, ip)
    return page(deps, request, shell => deviceRequestPage({ ...props, shell, nothingChosen: true }), { status: 400 })
  }
  const decided = await decideDeviceRequest(deps, viewer, entered, decision === 'approve' ? { scope } : 'deny', ip)
  const denied = decision === 'deny' ? 'denied' : undefined
  const outcome = decided ? denied : 'already decided or expired'
  see(deps, { request, server }, 'approval', decided ? 200 : 400, outcome, entered.client_id)
  // If it was already decided or has expired, the page shows that.
  if (!wantsJson(request)) return seeOther(`/auth/device/${id}`)
  if (!decided) throw new OAuthError('invalid_request', 'The request was already decided or has expired')
  return noStoreJson({ status: decision === 'approve' ? 'approved' : 'denied' })
}

/** @returns the request's id, or the form again with the typed code and the problem. */
async function enterOrExplain(
  deps: DecisionDeps,
  viewer: Viewer,
  typed: string,
  ip: string | null,
  request: Request,
): Promise<{ id: string } | Response> {
  const json = wantsJson(request)
  const explain = (problem: EntryProblem, status: number) => entryWith(deps, viewer, typed, problem, status, request)
  if (typed === '') {
    if (json) throw new OAuthError('invalid_request', 'The parameter user_code is missing')
    return explain({ kind: 'missing' }, 400)
  }
  const entered = await enterUserCode(deps, viewer, typed, ip)
  if (entered.id !== undefined) return entered
  if (entered.triesLeft !== undefined) {
    const { triesLeft } = entered
    if (json) throw new OAuthError('invalid_request', `No device is waiting with this code; tries left: ${triesLeft}`)
    return explain({ kind: 'wrong', triesLeft }, 400)
  }
  const { blocked } = entered
  if (json) throw tooManyWrongCodes(blocked)
  return refuseEntry(deps, viewer, typed, blocked, request)
}

function entryWith(
  deps: DecisionDeps,
  viewer: Viewer,
  code: string,
  problem: EntryProblem,
  status: number,
  request: Request,
) {
  const props = { ...entryProps(deps, viewer, code), problem }
  const show = isFragmentRequest(request) ? deviceEntry : deviceEntryPage
  return page(deps, request, shell => show({ ...props, shell }), { status })
}

/** The page without the form, since no code is accepted for a while. */
async function refuseEntry(deps: DecisionDeps, viewer: Viewer, code: string, blocked: Blocked, request: Request) {
  const response = await entryWith(deps, viewer, code, { kind: 'blocked', ...blocked }, 429, request)
  response.headers.set('Retry-After', String(blocked.seconds))
  return response
}

async function requireEntered(deps: OAuthDeps, viewer: Viewer, id: string): Promise<DeviceRequest> {
  const entered = z.uuid().safeParse(id).success ? await findEnteredRequest(deps, viewer, id) : undefined
  if (!entered) throw new AppError('There is no such request', 'Enter the code shown on your device.', { status: 404 })
  return entered
}

function entryProps(deps: OAuthDeps, viewer: Viewer, code: string) {
  const link = parseUserCode(code) && `${deps.config.BASE_URL}/auth/device?code=${encodeURIComponent(code)}`
  return { csrf: csrfToken(deps, viewer, ENTER), code, qr: link ? qrForPhone(deps, link) : undefined }
}

const labelOf = ({ client_id: id, client_name: name, client_source: source }: DeviceRequest) =>
  clientLabel({ id, name, source })

async function requestProps(deps: DecisionDeps, viewer: Viewer, request: DeviceRequest, ip: string | null) {
  const { client_id: clientId, resource, refreshable, request_ip: requestIp } = request
  const scope = request.granted_scope ?? grantableBy(viewer, request.scope)
  return {
    ...(await describeRequest(deps, viewer, { clientId, scope, resource, refreshable })),
    id: request.id,
    email: viewer.email,
    csrf: csrfToken(deps, viewer, request.id),
    state: request.state,
    userCode: formatUserCode(request.user_code),
    client: labelOf(request),
    resource,
    requestedAt: request.created_at.toISOString(),
    ip: requestIp ?? undefined,
    sameNetwork: requestIp !== null && networkOf(requestIp) === networkOf(ip),
    agent: request.request_agent ?? undefined,
  }
}
