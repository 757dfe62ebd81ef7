/** /api/oauth/authorize (RFC 6749 4.1): sign-in and consent if needed, then a redirect to the client with a code. */
import { Elysia } from 'elysia'
import { answerPage, consentPage, refusedRequestPage } from '../../views/consent.tsx'
import { clientAddress, type Handled } from '../http/client-address.ts'
import { seeOther } from '../http/pages.ts'
import { type Params, queryParams, type Repeated, readParams } from '../http/params.ts'
import { identify } from '../http/requests.ts'
import { PAGE } from '../http/routes.ts'
import { csrfToken, requireCsrf, session, type Viewer } from '../http/session.ts'
import { onward, page } from '../http/shell.ts'
import { noteAnswer, traced } from '../http/traced.ts'
import { OAuthError, SignInRequired } from '../lib/errors.ts'
import { type DecisionDeps, describeRequest } from './asking.ts'
import {
  type Asked,
  type AuthorizationRequest,
  checkAuthorizationRequest,
  findRedirectTarget,
  promptsOf,
  type RedirectTarget,
  recordRefused,
} from './authorization-request.ts'
import { chosenOf } from './choice.ts'
import { clientLabel } from './clients/names.ts'
import { describeRedirect, isTrustedRedirect } from './clients/redirect-targets.ts'
import { grantableBy, isConsentRemembered, issueAuthorizationCode } from './consents.ts'
import { alreadyDecided, decideOnce, findKept, type KeptRequest, keepRequest } from './kept-requests.ts'

/** Also served at `/authorize`, for MCP 2025-03-26 clients that do not read metadata. */
const PATH = '/api/oauth/authorize'

/** A request to the endpoint. `kept` is set when the user returns from signing in. */
interface Arrival extends Handled, Asked {
  kept?: KeptRequest
}

export const authorize = (deps: DecisionDeps) => {
  const app = new Elysia({ name: 'oauth-authorize' }).use(session(deps))
  const trace = (handled: Handled, handler: () => Promise<Response>) => traced(deps, handled, 'authorization', handler)
  for (const path of [PATH, '/authorize']) {
    app
      .get(
        path,
        ({ request, server }) => {
          const repeated: Repeated = []
          return trace({ request, server }, () =>
            begin(deps, { request, server, params: queryParams(request, { repeated }), repeated }),
          )
        },
        PAGE,
      )
      .post(
        path,
        ({ request, server }) => {
          const repeated: Repeated = []
          return trace({ request, server }, async () =>
            begin(deps, { request, server, params: await readParams(request, { repeated }), repeated }),
          )
        },
        { parse: 'none', ...PAGE },
      )
  }
  return app
    .get(
      `${PATH}/:id`,
      ({ request, server, params: { id } }) =>
        trace({ request, server }, async () => {
          const kept = await findKept(deps, id)
          if (kept.decided) throw alreadyDecided()
          return begin(deps, { request, server, ...kept, kept })
        }),
      { signedIn: true, ...PAGE },
    )
    .post(
      `${PATH}/decision`,
      async ({ request, server }) => {
        const form = await readParams(request)
        const id = form.request ?? ''
        const viewer = await deps.viewers.find(request)
        if (!viewer) throw new SignInRequired(`${PATH}/${id}`)
        requireCsrf(deps, { request, server }, viewer, interactionOf(id), form)
        const kept = await findKept(deps, id)
        return traced(deps, { request, server }, 'consent', () =>
          decide(deps, request, viewer, kept, form, clientAddress(deps, request, server)),
        )
      },
      { parse: 'none', ...PAGE },
    )
}

/**
 * Nobody is redirected before they have signed in, so that this server is not an open redirector (RFC 9700 4.11.2). Only
 * `prompt=none` is answered without sign-in.
 */
async function begin(deps: DecisionDeps, arrival: Arrival): Promise<Response> {
  const { request, server, params, kept } = arrival
  const ip = clientAddress(deps, request, server)
  const target = await findRedirectTarget(deps, arrival, ip)
  identify(request, { client: target.client.id })
  const viewer = await deps.viewers.find(request)
  const keep = async () => kept ?? (await keepRequest(deps, arrival, { viewer, ip }))
  const prompt = promptsOf(params)
  if (!viewer && !prompt.has('none')) throw new SignInRequired(`${PATH}/${(await keep()).id}`)
  try {
    const checked = checkAuthorizationRequest(deps, target, arrival)
    if (!viewer) throw new OAuthError('login_required', 'Nobody is signed in')
    // prompt=login requires a sign-in that happened after this request (OpenID Connect Core 3.1.2.1).
    if (prompt.has('login') && !(kept && viewer.signedInAt >= kept.createdAt))
      throw new SignInRequired(`${PATH}/${(await keep()).id}`, true)
    const asked = { ...checked, scope: grantableBy(viewer, checked.scope) }
    if (!prompt.has('consent') && (await isConsentRemembered(deps, viewer, asked)))
      return seeOther(answerUrl(deps, target, { code: await issueAuthorizationCode(deps, viewer, asked, ip) }))
    if (prompt.has('none')) throw new OAuthError('consent_required', 'The user must give consent')
    return await showConsent(deps, request, viewer, asked, { id: (await keep()).id })
  } catch (error) {
    return answerError(deps, request, target, error, { userId: viewer?.userId, ip })
  }
}

/** Handles the decision of the consent form. Everything is checked again, since it may have changed meanwhile. */
async function decide(
  deps: DecisionDeps,
  httpRequest: Request,
  viewer: Viewer,
  kept: KeptRequest,
  form: Params,
  ip: string | null,
): Promise<Response> {
  const target = await findRedirectTarget(deps, kept, ip)
  identify(httpRequest, { client: target.client.id })
  const approved = form.decision === 'approve'
  try {
    const checked = checkAuthorizationRequest(deps, target, kept)
    const asked = { ...checked, scope: grantableBy(viewer, checked.scope) }
    if (approved && asked.scope.length === 0)
      throw new OAuthError('invalid_scope', 'The user cannot grant any of the requested scopes')
    const request = { ...asked, scope: chosenOf(deps.scopes, asked.scope, form) }
    if (approved && request.scope.length === 0 && !kept.decided)
      return showConsent(deps, httpRequest, viewer, asked, { id: kept.id, nothingChosen: true })
    const decision = approved ? 'approved' : 'denied'
    if (!approved) noteAnswer(httpRequest, decision)
    const code = await decideOnce(deps, viewer, { id: kept.id, decision, request, ip })
    const answer: Record<string, string> = code
      ? { code }
      : { error: 'access_denied', error_description: 'The user denied the request' }
    const href = answerUrl(deps, target, answer)
    const destination = describeRedirect(target.redirectUri)
    const client = clientLabel(target.client)
    return onward(deps, httpRequest, shell => answerPage({ shell, decision, client, href, destination }), href)
  } catch (error) {
    return answerError(deps, httpRequest, target, error, { userId: viewer.userId, ip })
  }
}

/** Normal results of `prompt=none` (OpenID Connect Core 3.1.2.6), which are not recorded as refusals. */
const ANSWERS_TO_NONE = ['login_required', 'consent_required']

/** Returns an error to the client (RFC 6749 4.1.2.1): by a redirect if the target is trusted, else through a page with a link. */
function answerError(
  deps: DecisionDeps,
  httpRequest: Request,
  target: RedirectTarget,
  error: unknown,
  { userId = null, ip }: { userId?: string | null | undefined; ip: string | null },
): Promise<Response> | Response {
  if (!(error instanceof OAuthError) || error.status === 429) throw error
  const { error: code, description } = error
  noteAnswer(httpRequest, description)
  if (!ANSWERS_TO_NONE.includes(code)) recordRefused(deps, description, { clientId: target.client.id, userId, ip })
  const href = answerUrl(deps, target, { error: code, error_description: description })
  if (isTrustedRedirect(target.client, target.redirectUri)) return seeOther(href)
  const destination = describeRedirect(target.redirectUri)
  const client = clientLabel(target.client)
  return page(deps, httpRequest, shell => refusedRequestPage({ shell, client, description, href, destination }), {
    status: 400,
  })
}

/** The redirect URI with the response parameters, `state` and `iss` (RFC 9207). */
function answerUrl(deps: DecisionDeps, { redirectUri, state }: RedirectTarget, answer: Record<string, string>): string {
  const parameters = new URLSearchParams({
    ...answer,
    ...(state === undefined ? {} : { state }),
    iss: deps.config.BASE_URL,
  })
  return `${redirectUri}${redirectUri.includes('?') ? '&' : '?'}${parameters}`
}

async function showConsent(
  deps: DecisionDeps,
  httpRequest: Request,
  viewer: Viewer,
  request: AuthorizationRequest,
  { id, nothingChosen = false }: { id: string; nothingChosen?: boolean },
): Promise<Response> {
  const { client, scope, resource } = request
  const refreshable = client.grant_types.includes('refresh_token')
  const asked = await describeRequest(deps, viewer, { clientId: client.id, scope, resource, refreshable })
  const props = {
    ...asked,
    email: viewer.email,
    csrf: csrfToken(deps, viewer, interactionOf(id)),
    request: id,
    client: clientLabel(client),
    destination: describeRedirect(request.redirectUri),
    resource,
    nothingChosen,
  }
  return page(deps, httpRequest, shell => consentPage({ ...props, shell }), { status: nothingChosen ? 400 : 200 })
}

function interactionOf(id: string): string {
  return `authorize ${id}`
}
