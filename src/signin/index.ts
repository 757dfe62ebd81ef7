/**
 * Sign-in: the page with the choices, the round trip to a provider (`trips`, `providers`), one-time links, and who may
 * sign in (`service`). `forms` has CSRF tokens for the forms; `sessions` manages browser sessions.
 */
import { Elysia } from 'elysia'
import type { ClientLabel } from '../../views/components.tsx'
import { onwardPage, signInLinkPage, signInPage, type Waiting } from '../../views/signin.tsx'
import { TEXTS } from '../../views/texts/index.ts'
import { recordRepeatable } from '../audit/events.ts'
import { clientAddress, type Handled } from '../http/client-address.ts'
import { readCookie, setCookie } from '../http/cookies.ts'
import { languageOf } from '../http/language.ts'
import { noticeCookie } from '../http/notice.ts'
import { seeOther } from '../http/pages.ts'
import { queryParams, readParams } from '../http/params.ts'
import { qrForPhone } from '../http/phone.ts'
import { PAGE } from '../http/routes.ts'
import { requireCsrf, SIGN_OUT } from '../http/session.ts'
import { onward, type PageDeps, page } from '../http/shell.ts'
import { traced } from '../http/traced.ts'
import { AppError } from '../lib/errors.ts'
import { COMMAND } from '../lib/program.ts'
import { printableText } from '../lib/text.ts'
import { formToken, requireOwnForm } from './forms.ts'
import { authenticationOptions, verifyPasskey, withoutChallenge } from './passkeys.ts'
import type { Provider, Providers } from './providers.ts'
import { admit, ownerOfSignInLink, useSignInLink } from './service.ts'
import { endSession, startSession } from './sessions.ts'
import {
  endedTripCookie,
  endTrip,
  newTrip,
  oldTripCookies,
  readTrip,
  TRIP_SECONDS,
  type TripTokens,
  tripCookie,
  tripTokens,
} from './trips.ts'

/** Dependencies of sign-in. */
export interface SignInDeps extends PageDeps {
  providers: Providers
  /** The app whose authorization request waits for a sign-in. */
  waitingApp(request: string): Promise<ClientLabel | undefined>
}

const RETURN_COOKIE = 'return-to'

export const signin = (deps: SignInDeps) =>
  new Elysia({ name: 'signin' })
    .use(tripTokens(deps))
    .get('/auth/signin', ({ request }) => showSignIn(deps, request), PAGE)
    .get('/auth/signin/link', ({ request, server }) => showLink(deps, { request, server }), PAGE)
    .post(
      '/auth/signin/link',
      ({ request, server }) =>
        traced(deps, { request, server }, 'sign-in', async () => {
          const params = await readParams(request)
          requireOwnForm(deps, { request, server }, params)
          const { userId } = await useSignInLink(deps, params.token ?? '', clientAddress(deps, request, server))
          return signedIn(deps, { request, server }, { userId, how: 'link', returnTo: rememberedPath(deps, request) })
        }),
      { parse: 'none', ...PAGE },
    )

    .post(
      '/auth/passkey/options',
      async ({ request, server }) => {
        requireOwnForm(deps, { request, server }, await readParams(request))
        const { options, cookie } = await authenticationOptions(deps)
        return Response.json(options, { headers: { 'Set-Cookie': cookie, 'Cache-Control': 'no-store' } })
      },
      { parse: 'none', ...PAGE },
    )
    .post(
      '/auth/passkey',
      ({ request, server }) =>
        traced(deps, { request, server }, 'sign-in', async () => {
          const params = await readParams(request)
          requireOwnForm(deps, { request, server }, params)
          const ip = clientAddress(deps, request, server)
          const { userId } = await verifyPasskey(deps, request, params.credential ?? '', ip)
          const returnTo = localPath(params.return_to)
          const response = await signedIn(deps, { request, server }, { userId, how: 'passkey', returnTo })
          response.headers.append('Set-Cookie', withoutChallenge(deps))
          return response
        }),
      { parse: 'none', ...PAGE },
    )
    .post(
      '/auth/signin/:provider',
      async ({ request, server, trips, params: { provider: id } }) => {
        const params = await readParams(request)
        requireOwnForm(deps, { request, server }, params)
        const provider = requireProvider(deps, id)
        const trip = newTrip(provider, localPath(params.return_to))
        const { href } = await provider.start(trip)
        const response = await onward(deps, request, shell => onwardPage({ shell, href, to: provider.name }), href)
        response.headers.append('Set-Cookie', await tripCookie(deps, trips, trip))
        for (const cookie of oldTripCookies(deps, request)) response.headers.append('Set-Cookie', cookie)
        return response
      },
      { parse: 'none', ...PAGE },
    )
    .get(
      '/auth/callback/:provider',
      ({ request, server, trips, params: { provider: id } }) =>
        traced(deps, { request, server }, 'sign-in', () => finishTrip(deps, { request, server }, trips, id)),
      PAGE,
    )
    .post(
      '/auth/signout',
      async ({ request, server }) => {
        const params = await readParams(request)
        const viewer = await deps.viewers.find(request)
        if (!viewer) return seeOther('/')
        requireCsrf(deps, { request, server }, viewer, SIGN_OUT, params)
        const notice = TEXTS[languageOf(request)].signedOut
        return seeOther('/', [await endSession(deps, viewer), noticeCookie(deps, notice)])
      },
      { parse: 'none', ...PAGE },
    )

const AUTHORIZE = '/api/oauth/authorize/'
const RETURN_PATHS =
  /^\/(auth\/device(\/[0-9a-f-]{36})?|account(\/[a-z]+|\/upstreams\/[A-Za-z0-9][\w.-]{0,63})?|admin(\/[a-z]+)?|api\/oauth\/authorize\/[0-9a-f-]{36})?(\?[\x21-\x7e]*)?$/
const RETURN_LIMIT = 1000

/** Validates the path to open after sign-in; the front page for anything unexpected. */
function localPath(given: string | undefined): string {
  return given && given.length <= RETURN_LIMIT && RETURN_PATHS.test(given) ? given : '/'
}

/** Where this browser was going when it last saw the sign-in page. */
function rememberedPath(deps: SignInDeps, request: Request): string {
  const remembered = readCookie(deps.config, request, RETURN_COOKIE) ?? ''
  return localPath(Buffer.from(remembered, 'base64url').toString())
}

async function showSignIn(deps: SignInDeps, request: Request): Promise<Response> {
  const { return_to, again } = queryParams(request)
  // Error pages lead here without an address, so that a failed sign-in does not lose the code or the app that waits.
  const returnTo = return_to === undefined ? rememberedPath(deps, request) : localPath(return_to)
  const providers = [...deps.providers.values()].map(({ id, name }) => ({ id, name }))
  const { csrf, cookie } = formToken(deps, request)
  const waiting = await waitingFor(deps, returnTo)
  const link = waiting?.kind === 'device' ? `${deps.config.BASE_URL}${returnTo}` : undefined
  const props = { providers, returnTo, csrf, waiting, qr: link ? qrForPhone(deps, link) : undefined, command: COMMAND }
  const response = await page(deps, request, shell => signInPage({ ...props, shell, again: again !== undefined }))
  response.headers.append('Set-Cookie', cookie)
  // Users who sign in with a one-time link instead return to the same page.
  const remembered = Buffer.from(returnTo).toString('base64url')
  response.headers.append('Set-Cookie', setCookie(deps.config, RETURN_COOKIE, remembered, TRIP_SECONDS))
  return response
}

/** What the user signs in for. To strangers, a device's code must not tell which app waits for it. */
async function waitingFor(deps: SignInDeps, returnTo: string): Promise<Waiting | undefined> {
  if (returnTo.startsWith(AUTHORIZE)) {
    const client = await deps.waitingApp(returnTo.slice(AUTHORIZE.length))
    return client && { kind: 'app', client }
  }
  const code = returnTo.startsWith('/auth/device?') ? new URLSearchParams(returnTo.split('?')[1]).get('code') : null
  return code ? { kind: 'device', code: printableText(code, 20) } : undefined
}

async function showLink(deps: SignInDeps, { request, server }: Handled): Promise<Response> {
  const { token = '' } = queryParams(request)
  const email = await ownerOfSignInLink(deps, token, clientAddress(deps, request, server))
  const { csrf, cookie } = formToken(deps, request)
  const response = await page(deps, request, shell => signInLinkPage({ shell, token, csrf, email }))
  response.headers.append('Set-Cookie', cookie)
  return response
}

/** Somebody comes back from a provider. */
async function finishTrip(deps: SignInDeps, handled: Handled, trips: TripTokens, id: string): Promise<Response> {
  const { request, server } = handled
  const provider = requireProvider(deps, id)
  const params = queryParams(request)
  const trip = await readTrip(deps, trips, request, provider, params).catch(async error => {
    // Loaded again after it has signed in.
    if (error instanceof AppError && (await deps.viewers.find(request))) return undefined
    throw error
  })
  if (!trip) return seeOther('/auth/signin')
  const code = requireCode(params)
  const ip = clientAddress(deps, request, server)
  const identity = await provider.finish({ code, iss: params.iss }, trip, deps.now()).catch(error => {
    if (error instanceof AppError && error.status === 403)
      recordRepeatable(deps, 'user.refused', { ip, detail: { how: provider.id } }, provider.id)
    throw error
  })
  const user = await admit(deps, identity, ip)
  await endTrip(deps, trip)
  const response = await signedIn(deps, handled, { userId: user.id, how: provider.id, returnTo: trip.returnTo })
  response.headers.append('Set-Cookie', endedTripCookie(deps, trip))
  return response
}

function requireProvider(deps: SignInDeps, id: string): Provider {
  const provider = deps.providers.get(id)
  if (!provider)
    throw new AppError('There is no such sign-in method', 'Go to the sign-in page and choose another one.', {
      status: 404,
    })
  return provider
}

/** The code in a provider's answer. @throws AppError 403 if the provider refused or the user cancelled. */
function requireCode({ code, error = '' }: { code?: string; error?: string }): string {
  if (code !== undefined && error === '') return code
  throw new AppError(
    'You were not signed in',
    'The sign-in was cancelled or refused at the provider. You can start again.',
    { status: 403, detail: `the provider answered ${/^[a-z_]{1,40}$/.test(error) ? error : 'without a code'}` },
  )
}

async function signedIn(
  deps: SignInDeps,
  { request, server }: Handled,
  { userId, how, returnTo }: { userId: string; how: string; returnTo: string },
): Promise<Response> {
  const ip = clientAddress(deps, request, server)
  const before = await deps.viewers.find(request)
  const cookie = await startSession(deps, { userId, ip, userAgent: request.headers.get('user-agent'), how })
  if (before) await endSession(deps, before) // its cookie is replaced, so it could not be signed out later
  // The authorization endpoint may redirect to a client at once, which form-action would block.
  const href = deps.config.BASE_URL + returnTo
  const response = returnTo.startsWith(AUTHORIZE)
    ? await onward(deps, request, shell => onwardPage({ shell, href, to: undefined }), href)
    : seeOther(returnTo)
  response.headers.append('Set-Cookie', cookie)
  response.headers.append('Set-Cookie', setCookie(deps.config, RETURN_COOKIE, '', 0))
  return response
}
