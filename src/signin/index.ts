/**
 * Signing in: the page that offers the ways, the trip to a provider and back (`providers`), one-time links, and who may
 * enter (`service`). The session itself and its cookie are in `http/session`.
 */
import { randomBytes } from 'node:crypto'
import { Elysia } from 'elysia'
import { jwtVerify, SignJWT } from 'jose'
import { z } from 'zod'
import { onwardPage, signInLinkPage, signInPage } from '../../views/signin.tsx'
import { recordRepeatable } from '../audit/events.ts'
import type { Base } from '../base.ts'
import { clientAddress } from '../http/client-address.ts'
import { listCookies, readCookie, setCookie } from '../http/cookies.ts'
import { page, seeOther } from '../http/pages.ts'
import { type Params, queryParams, readParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { requireCsrf, requireSameSite, type Viewers } from '../http/session.ts'
import { sameBytes } from '../lib/crypto.ts'
import { AppError } from '../lib/errors.ts'
import { generateCodeVerifier, type Provider, type Providers } from './providers.ts'
import { admit, useSignInLink } from './service.ts'
import { endSession, startSession } from './sessions.ts'

/** What signing in needs. */
export interface SignInDeps extends Base {
  providers: Providers
  viewers: Viewers
}

/** Seconds that a trip to the provider may take. */
const TRIP_SECONDS = 600
const RETURN_COOKIE = 'return-to'

export const signin = (deps: SignInDeps) =>
  new Elysia({ name: 'signin' })
    .get(
      '/auth/signin',
      async ({ request }) => {
        const returnTo = localPath(queryParams(request).return_to)
        const providers = [...deps.providers.values()].map(({ id, name }) => ({ id, name }))
        const response = await page(signInPage({ providers, returnTo }))
        // For whoever signs in with a link from the terminal instead: they come back here too.
        response.headers.append(
          'Set-Cookie',
          setCookie(deps.config, RETURN_COOKIE, Buffer.from(returnTo).toString('base64url'), TRIP_SECONDS),
        )
        return response
      },
      PAGE,
    )
    .get('/auth/signin/link', ({ request }) => page(signInLinkPage({ token: queryParams(request).token ?? '' })), PAGE)
    .post(
      '/auth/signin/link',
      async ({ request, server }) => {
        requireSameSite(deps, request)
        const params = await readParams(request)
        const { userId } = await useSignInLink(deps, params.token ?? '', clientAddress(deps, request, server))
        const remembered = readCookie(deps.config, request, RETURN_COOKIE) ?? ''
        const returnTo = localPath(Buffer.from(remembered, 'base64url').toString())
        return signedIn(deps, request, server, { userId, how: 'link', returnTo })
      },
      { parse: 'none', ...PAGE },
    )
    .post(
      '/auth/signin/:provider',
      async ({ request, params: { provider: id } }) => {
        requireSameSite(deps, request)
        const params = await readParams(request)
        const provider = requireProvider(deps, id)
        const secrets = {
          state: randomBytes(24).toString('base64url'),
          nonce: randomBytes(24).toString('base64url'),
          verifier: generateCodeVerifier(),
        }
        const location = await provider.start(secrets)
        const trip = await new SignJWT({ ...secrets, provider: provider.id, returnTo: localPath(params.return_to) })
          .setProtectedHeader({ alg: 'HS256' })
          .setExpirationTime(Math.floor(deps.now().getTime() / 1000) + TRIP_SECONDS)
          .sign(deps.secrets.signInCookie)
        const response = await onward(location.href, provider.name)
        response.headers.append('Set-Cookie', setCookie(deps.config, tripCookie(secrets.state), trip, TRIP_SECONDS))
        for (const name of oldTrips(deps, request)) {
          response.headers.append('Set-Cookie', setCookie(deps.config, name, '', 0))
        }
        return response
      },
      { parse: 'none', ...PAGE },
    )
    .get(
      '/auth/callback/:provider',
      async ({ request, server, params: { provider: id } }) => {
        const provider = requireProvider(deps, id)
        const params = queryParams(request)
        const trip = await readTrip(deps, request, provider, params)
        if (params.error !== undefined || params.code === undefined) {
          throw new AppError(
            'You were not signed in',
            'The sign-in was cancelled or refused at the provider. You can start again.',
            {
              status: 403,
              detail: `the provider answered ${/^[a-z_]{1,40}$/.test(params.error ?? '') ? params.error : 'without a code'}`,
            },
          )
        }
        const ip = clientAddress(deps, request, server)
        const identity = await provider
          .finish({ code: params.code, iss: params.iss }, trip, deps.now())
          .catch(error => {
            if (error instanceof AppError && error.status === 403)
              recordRepeatable(deps, 'user.refused', { ip, detail: { how: provider.id } }, provider.id)
            throw error
          })
        const user = await admit(deps, identity, ip)
        const response = await signedIn(deps, request, server, {
          userId: user.id,
          how: provider.id,
          returnTo: trip.returnTo,
        })
        response.headers.append('Set-Cookie', setCookie(deps.config, tripCookie(trip.state), '', 0))
        return response
      },
      PAGE,
    )
    .post(
      '/auth/signout',
      async ({ request }) => {
        const params = await readParams(request)
        const viewer = await deps.viewers.find(request)
        if (!viewer) return seeOther('/')
        requireCsrf(deps, request, viewer, 'signout', params)
        return seeOther('/', { 'Set-Cookie': await endSession(deps, viewer) })
      },
      { parse: 'none', ...PAGE },
    )

const RETURN_PATHS =
  /^\/(auth\/device(\/[0-9a-f-]{36})?|account|admin(\/[a-z]+)?|(api\/oauth\/)?authorize)?(\?[\x21-\x7e]*)?$/
/** The cookies that carry it must stay below the 4096 bytes that browsers keep. */
const RETURN_LIMIT = 2700

/** A path of ours that may follow a sign-in; the device page for anything else. */
function localPath(given: string | undefined): string {
  return given && given.length <= RETURN_LIMIT && RETURN_PATHS.test(given) ? given : '/auth/device'
}

function requireProvider(deps: SignInDeps, id: string): Provider {
  const provider = deps.providers.get(id)
  if (!provider)
    throw new AppError(
      'There is no such way to sign in',
      'Go to the sign-in page and choose one of the ways that it offers.',
      { status: 404 },
    )
  return provider
}

/**
 * Sends a browser that has just sent a form elsewhere. Not with a redirect: Chromium holds all redirects that follow a
 * form against the form-action of the page where the form was, and where a provider or client redirects to, nobody can list.
 */
async function onward(href: string, to: string): Promise<Response> {
  const response = await page(onwardPage({ href, to }))
  response.headers.set('Refresh', `0; url=${href}`)
  return response
}

const tripSchema = z.object({
  state: z.string(),
  nonce: z.string(),
  verifier: z.string(),
  provider: z.string(),
  returnTo: z.string(),
})

const TRIP_COOKIE = 'signin-'
/** Trips that a browser may have begun besides the newest, and how long their cookies may be: at 16 KiB of headers it gets 431. */
const TRIPS = 3
const TRIPS_BYTES = 6_000

/** One cookie a trip, named for its state, so that two tabs do not break each other. */
function tripCookie(state: string): string {
  return `${TRIP_COOKIE}${state.slice(0, 12)}`
}

/** The cookies of trips that were begun longest ago, past the newest few. Browsers send the oldest first (RFC 6265 5.4). */
function oldTrips(deps: SignInDeps, request: Request): string[] {
  let bytes = 0
  return listCookies(deps.config, request, TRIP_COOKIE)
    .reverse()
    .filter(({ value }, newer) => {
      bytes += value.length
      return newer >= TRIPS || bytes > TRIPS_BYTES
    })
    .map(({ name }) => name)
}

async function readTrip(
  deps: SignInDeps,
  request: Request,
  provider: Provider,
  params: Params,
): Promise<z.output<typeof tripSchema>> {
  const state = params.state ?? ''
  const lost = (detail: string) =>
    new AppError(
      'This sign-in was started elsewhere or too long ago',
      'Start again from the sign-in page, in this browser, with cookies allowed.',
      { status: 400, detail },
    )
  if (!/^[A-Za-z0-9_-]{32}$/.test(state)) throw lost('no state')
  const cookie = readCookie(deps.config, request, tripCookie(state))
  if (!cookie) throw lost('no cookie for this state')
  try {
    const { payload } = await jwtVerify(cookie, deps.secrets.signInCookie, {
      algorithms: ['HS256'],
      currentDate: deps.now(),
    })
    const trip = tripSchema.parse(payload)
    if (!sameBytes(Buffer.from(trip.state), Buffer.from(state)) || trip.provider !== provider.id)
      throw lost('another state or provider')
    return trip
  } catch (error) {
    if (error instanceof AppError) throw error
    throw lost('the cookie has expired or is not ours')
  }
}

async function signedIn(
  deps: SignInDeps,
  request: Request,
  server: Parameters<typeof clientAddress>[2],
  { userId, how, returnTo }: { userId: string; how: string; returnTo: string },
): Promise<Response> {
  const ip = clientAddress(deps, request, server)
  const before = await deps.viewers.find(request)
  const cookie = await startSession(deps, { userId, ip, userAgent: request.headers.get('user-agent'), how })
  if (before) await endSession(deps, before) // its cookie is replaced, so nobody could sign it out any more
  // The authorization endpoint may send the browser on to a client at once.
  const response = /^\/(api\/oauth\/)?authorize\b/.test(returnTo)
    ? await onward(deps.config.BASE_URL + returnTo, 'the app')
    : seeOther(returnTo)
  response.headers.append('Set-Cookie', cookie)
  response.headers.append('Set-Cookie', setCookie(deps.config, RETURN_COOKIE, '', 0))
  return response
}
