/** /api/oauth/authorize (RFC 6749 4.1): sign-in if needed, consent if needed, and back to the client with a code. */
import { Elysia } from 'elysia'
import { consentPage } from '../../views/consent.tsx'
import { clientAddress, type Handled } from '../http/client-address.ts'
import { formTarget, page, seeOther } from '../http/pages.ts'
import { type Params, parseParams, queryParams, readParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { csrfToken, requireCsrf, type Viewer, type Viewers } from '../http/session.ts'
import { OAuthError, type OAuthErrorCode, SignInRequired } from '../lib/errors.ts'
import {
  type AuthorizationRequest,
  checkAuthorizationRequest,
  findRedirectTarget,
  type RedirectTarget,
} from './authorization-request.ts'
import { clientLabel } from './clients/names.ts'
import { grantableBy, isConsentRemembered, issueAuthorizationCode, rememberConsent } from './consents.ts'
import type { OAuthDeps } from './deps.ts'

/** Also at the root, for MCP 2025-03-26 clients that read no metadata. */
const PATH = '/api/oauth/authorize'
/** How long ago a sign-in may be for `prompt=login`: the one that this request has just caused. */
const FRESH_SIGN_IN_MS = 120_000

export const authorize = (deps: OAuthDeps & { viewers: Viewers }) => {
  const begin = async (request: Request, params: Params, server: Handled['server']) =>
    answerErrors(deps, params, clientAddress(deps, request, server), async target => {
      const checked = checkAuthorizationRequest(deps, target, params)
      const viewer = await deps.viewers.find(request)
      const query = new URLSearchParams(params as Record<string, string>).toString()
      const wantsFreshSignIn =
        checked.prompt.has('login') && viewer && deps.now().getTime() - viewer.signedInAt.getTime() > FRESH_SIGN_IN_MS
      if (!viewer || wantsFreshSignIn) {
        if (checked.prompt.has('none')) throw new OAuthError('login_required', 'Nobody is signed in')
        throw new SignInRequired(`${PATH}?${query}`)
      }
      const scope = grantableBy(viewer, checked.scope)
      if (!checked.prompt.has('consent') && (await isConsentRemembered(deps, viewer, { ...checked, scope }))) {
        return sendCode(deps, viewer, { ...checked, scope }, clientAddress(deps, request, server))
      }
      if (checked.prompt.has('none')) throw new OAuthError('consent_required', 'The user must be asked')
      return showConsent(deps, viewer, { ...checked, scope }, query)
    })

  const app = new Elysia({ name: 'oauth-authorize' })
  for (const path of [PATH, '/authorize']) {
    app
      .get(path, ({ request, server }) => begin(request, queryParams(request), server), PAGE)
      .post(path, async ({ request, server }) => begin(request, await readParams(request), server), {
        parse: 'none',
        ...PAGE,
      })
  }
  return app.post(
    `${PATH}/decision`,
    async ({ request, server }) => {
      const form = await readParams(request)
      const query = form.request ?? ''
      const viewer = await deps.viewers.find(request)
      if (!viewer) throw new SignInRequired(`${PATH}?${query}`)
      requireCsrf(deps, request, viewer, interactionOf(query), form)
      // The token covers the query, so it is the one that was shown; it is checked again, as things may have changed.
      const params = parseParams(query)
      return answerErrors(deps, params, clientAddress(deps, request, server), async target => {
        const checked = checkAuthorizationRequest(deps, target, params)
        if (form.decision !== 'approve') throw new OAuthError('access_denied', 'The user denied the request')
        const decided = { ...checked, scope: grantableBy(viewer, checked.scope) }
        await rememberConsent(deps, viewer, decided)
        return sendCode(deps, viewer, decided, clientAddress(deps, request, server))
      })
    },
    { parse: 'none', ...PAGE },
  )
}

/** Errors after the redirect URI is trusted are told to the client (RFC 6749 4.1.2.1), with `iss` (RFC 9207). */
async function answerErrors(
  deps: OAuthDeps,
  params: Params,
  ip: string | null,
  answer: (target: RedirectTarget) => Promise<Response>,
): Promise<Response> {
  const target = await findRedirectTarget(deps, params, ip)
  try {
    return await answer(target)
  } catch (error) {
    if (!(error instanceof OAuthError)) throw error
    return redirectBack(deps, target, {
      error: error.error satisfies OAuthErrorCode,
      error_description: error.description,
    })
  }
}

async function sendCode(
  deps: OAuthDeps,
  viewer: Viewer,
  request: AuthorizationRequest,
  ip: string | null,
): Promise<Response> {
  if (request.scope.length === 0)
    throw new OAuthError('invalid_scope', 'The user cannot give any of the requested scopes')
  return redirectBack(deps, request, { code: await issueAuthorizationCode(deps, viewer, request, ip) })
}

function redirectBack(
  deps: OAuthDeps,
  { redirectUri, state }: RedirectTarget,
  answer: Record<string, string>,
): Response {
  const parameters = new URLSearchParams({
    ...answer,
    ...(state === undefined ? {} : { state }),
    iss: deps.config.BASE_URL,
  })
  return seeOther(`${redirectUri}${redirectUri.includes('?') ? '&' : '?'}${parameters}`)
}

function showConsent(
  deps: OAuthDeps,
  viewer: Viewer,
  request: AuthorizationRequest,
  query: string,
): Promise<Response> | Response {
  return page(
    consentPage({
      email: viewer.email,
      csrf: csrfToken(deps, viewer, interactionOf(query)),
      request: query,
      client: clientLabel(request.client),
      redirectHost: redirectHostOf(request.redirectUri),
      resource: request.resource,
      permissions: request.scope.map(deps.scopes.text),
    }),
    200,
    // Chromium checks the whole chain of redirects after the form, and many apps send the browser on to a page of theirs.
    [formTarget(request.redirectUri), 'https:'],
  )
}

/** Where the browser goes afterwards, as a person would say it. */
function redirectHostOf(uri: string): string {
  const url = new URL(uri)
  if (url.protocol === 'http:') return 'this computer'
  return url.protocol === 'https:' ? url.host : `an app on this device (${url.protocol.slice(0, -1)})`
}

function interactionOf(query: string): string {
  return `authorize ${query}`
}
