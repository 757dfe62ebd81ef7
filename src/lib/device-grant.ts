/**
 * The client side of the device authorization grant (RFC 8628) and of what follows it, for any server: lenient about missing
 * or differently named members, and tolerant of short outages.
 */
import { z } from 'zod'
import { UnreachableError, UsageError } from './errors.ts'
import { printableText } from './text.ts'

export const DEVICE_CODE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

const TIMEOUT_MS = 10_000
/** Seconds; RFC 8628 3.5 requires a client to back off while it cannot reach the server. */
const MAX_INTERVAL = 60

/** Maximum size of an answer, in bytes. */
const LARGEST = 1_048_576

/** Like fetch. @throws UsageError if there is no response; reading a body that is too large throws one, too. */
export type Web = (url: string | URL, init?: RequestInit) => Promise<Response>

/** How a client calls its authorization server. */
export interface ClientRequest {
  /** `client_id` and, if known, `resource` and `client_secret`: sent with every request. */
  common: Record<string, string>
  /** An Authorization header, for client_secret_basic. */
  authorization?: string | undefined
  web: Web
}

export interface DeviceGrantRequest extends ClientRequest {
  deviceAuthorizationEndpoint: string
  tokenEndpoint: string
  scope: string | undefined
}

/** What to show to the user who approves. */
export interface DevicePrompt {
  /** An http or https URL, safe to print on a terminal. */
  link: string
  userCode: string
  /** Seconds. */
  expiresIn: number
}

/** A URL for the user to open, normalized so that it cannot disguise its target. */
const webUrl = z
  .string()
  .transform(value => URL.parse(value))
  .refine(url => url !== null && /^https?:$/.test(url.protocol), 'must be an http or https URL')
  .transform(url => url!.href)

const positive = z.coerce.number().positive()

const deviceSchema = z
  .object({
    device_code: z.string().min(1),
    user_code: z.string().min(1),
    verification_uri: webUrl.optional(),
    /** The name in early drafts of RFC 8628, still used by some servers. */
    verification_url: webUrl.optional(),
    verification_uri_complete: webUrl.optional(),
    expires_in: positive.default(900),
    interval: positive.default(5),
  })
  .refine(device => device.verification_uri ?? device.verification_url, 'must name a verification_uri')

const tokensSchema = z.looseObject({ access_token: z.string().min(1), token_type: z.string().default('Bearer') })
export type Tokens = z.output<typeof tokensSchema>

const errorSchema = z.object({ error: z.string(), error_description: z.string().optional() })

/**
 * Requests a code, shows it, and polls until it is decided or has expired.
 *
 * @throws UsageError that says why there is no token.
 */
export async function authorizeDevice(
  request: DeviceGrantRequest,
  show: (prompt: DevicePrompt) => void,
): Promise<Tokens> {
  const started = await post(
    request,
    request.deviceAuthorizationEndpoint,
    request.scope ? { scope: request.scope } : {},
  )
  if (started.status >= 300) throw refusal('device authorization', started)
  const device = deviceSchema.safeParse(started.body).data
  if (!device)
    throw new UsageError('The server’s answer to the device authorization request does not conform to RFC 8628')
  show({
    link: device.verification_uri_complete ?? device.verification_uri ?? device.verification_url!,
    userCode: printableText(device.user_code, 100),
    expiresIn: device.expires_in,
  })
  return poll(request, device)
}

async function poll(request: DeviceGrantRequest, device: z.output<typeof deviceSchema>): Promise<Tokens> {
  const form = { grant_type: DEVICE_CODE_GRANT, device_code: device.device_code }
  const end = performance.now() + device.expires_in * 1000
  let interval = device.interval
  let wait = interval
  while (performance.now() + wait * 1000 < end) {
    await Bun.sleep(wait * 1000)
    wait = interval
    let answer: Answer
    try {
      answer = await post(request, request.tokenEndpoint, form)
    } catch (error) {
      if (!(error instanceof UsageError)) throw error
      interval = Math.min(interval * 2, MAX_INTERVAL)
      wait = interval
      continue
    }
    const error = errorSchema.safeParse(answer.body).data?.error
    if (error === 'slow_down') interval += 5
    if (error === 'authorization_pending' || error === 'slow_down' || answer.status >= 500 || answer.status === 429)
      wait = Math.max(interval, answer.retryAfter)
    else if (error === 'access_denied') throw new UsageError('The request was denied.')
    else if (error === 'expired_token') break
    else return tokensOf(answer)
  }
  throw new UsageError('The code has expired; run the command again.')
}

/** Exchanges a refresh token (RFC 6749 6). @returns undefined if the connection has ended. */
export async function refreshTokens(
  request: ClientRequest,
  tokenEndpoint: string,
  refreshToken: string,
): Promise<Tokens | undefined> {
  const answer = await post(request, tokenEndpoint, { grant_type: 'refresh_token', refresh_token: refreshToken })
  if (errorSchema.safeParse(answer.body).data?.error === 'invalid_grant') return undefined
  return tokensOf(answer)
}

/** Ends a connection (RFC 7009). */
export async function revokeToken(request: ClientRequest, revocationEndpoint: string, token: string): Promise<void> {
  const answer = await post(request, revocationEndpoint, { token })
  if (answer.status >= 300) throw refusal('revocation', answer)
}

function tokensOf(answer: Answer): Tokens {
  if (answer.status >= 300) throw refusal('token request', answer)
  const tokens = tokensSchema.safeParse(answer.body).data
  if (!tokens) throw new UsageError('The server answered the token request without an access token')
  return tokens
}

interface Answer {
  status: number
  /** Parsed JSON without null members; undefined if it is not JSON. */
  body: unknown
  /** Seconds; 0 if the server did not say. */
  retryAfter: number
}

/** An error with the server's error code and description, made safe for a terminal. */
export function refusal(what: string, { status, body }: Pick<Answer, 'status' | 'body'>): UsageError {
  const error = errorSchema.safeParse(body).data
  const words = error && [error.error, error.error_description && `(${error.error_description})`]
  const said = words ? printableText(words.filter(Boolean).join(' '), 500) : `HTTP ${status}`
  return new UsageError(`The server refused the ${what}: ${said}`)
}

async function post(
  { common, authorization, web }: ClientRequest,
  url: string,
  form: Record<string, string>,
): Promise<Answer> {
  const answer = await web(url, {
    method: 'POST',
    headers: {
      Accept: 'application/json',
      'Content-Type': 'application/x-www-form-urlencoded',
      ...(authorization ? { Authorization: authorization } : {}),
    },
    body: new URLSearchParams({ ...common, ...form }),
  })
  return {
    status: answer.status,
    body: withoutNulls(await answer.json().catch(() => undefined)),
    retryAfter: Math.max(0, Number(answer.headers.get('retry-after')) || 0),
  }
}

/** A {@link Web} with a timeout, for the body, too. */
export async function request(
  url: string | URL,
  init: RequestInit = {},
  timeoutMs: number = TIMEOUT_MS,
): Promise<Response> {
  try {
    return bounded(await fetch(url, { ...init, signal: AbortSignal.timeout(timeoutMs) }), url)
  } catch (error) {
    const why = printableText((error as Error).message, 200)
    throw new UnreachableError(`${new URL(url).origin} cannot be reached: ${why}`)
  }
}

function bounded(answer: Response, url: string | URL): Response {
  let bytes = 0
  const counted = answer.body?.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        bytes += chunk.length
        if (bytes > LARGEST) controller.error(new UnreachableError(`${new URL(url).origin} sent more than 1 MiB`))
        else controller.enqueue(chunk)
      },
    }),
  )
  return new Response(counted ?? null, answer)
}

/** Removes null members, which count as absent. */
export function withoutNulls(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
}
