/** The server under test: where its endpoints are, clients to ask as, and the steps of the flow that checks share. */
import type { Documents } from './documents.ts'
import { type Answer, describe, send, sendJson } from './http.ts'
import { type Approve, BrokenRun, type Client, DEVICE_CODE_GRANT, type Device, Unchecked } from './model.ts'

export interface Options {
  issuer: string
  clientId?: string | undefined
  clientSecret?: string | undefined
  otherClientId?: string | undefined
  scope?: string | undefined
  initialAccessToken?: string | undefined
  deviceEndpoint?: string | undefined
  tokenEndpoint?: string | undefined
  /** The token endpoint takes only JSON. */
  jsonTokens: boolean
  /** Seconds that a check may wait for a code to expire. */
  maxWait: number
  approve?: Approve | undefined
  documents?: Documents | undefined
}

export type Target = Awaited<ReturnType<typeof openTarget>>

export const sleep = (seconds: number) => new Promise<void>(resolve => setTimeout(resolve, seconds * 1000))

const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined)

/** Finds the endpoints. @throws BrokenRun if there is nothing to test. */
export async function openTarget(options: Options) {
  const metadataAnswer = await discover(options.issuer)
  const metadata = metadataAnswer?.json
  const deviceEndpoint = options.deviceEndpoint ?? text(metadata?.device_authorization_endpoint)
  const tokenEndpoint = options.tokenEndpoint ?? text(metadata?.token_endpoint)
  const registrationEndpoint = text(metadata?.registration_endpoint)
  if (!deviceEndpoint || !tokenEndpoint)
    throw new BrokenRun('The server names no device and token endpoint; give --device-endpoint and --token-endpoint')
  if (!options.clientId && !registrationEndpoint)
    throw new BrokenRun('The server offers no dynamic registration; give --client-id')

  const register = (metadata: Record<string, unknown>) => {
    if (!registrationEndpoint) throw new Unchecked('not offered', 'no registration_endpoint')
    const authorization = options.initialAccessToken && { Authorization: `Bearer ${options.initialAccessToken}` }
    return sendJson(registrationEndpoint, metadata, { headers: { ...(authorization || {}) } })
  }
  const registered = async (metadata: Record<string, unknown>): Promise<Client> => {
    const answer = await register(metadata)
    const id = text(answer.json?.client_id)
    if (!id) throw new Unchecked('not tested', `no client: registration was answered ${describe(answer)}`)
    return { id, secret: text(answer.json?.client_secret) }
  }
  const client = once(async (): Promise<Client> => {
    if (options.clientId) return { id: options.clientId, secret: options.clientSecret }
    return registered(deviceClient('one'))
  })
  const otherClient = once(async (): Promise<Client> => {
    if (options.otherClientId) return { id: options.otherClientId }
    return registered(deviceClient('two'))
  })

  const steps = stepsOf({ deviceEndpoint, tokenEndpoint, options, client })
  return {
    options,
    metadataAnswer,
    metadata,
    deviceEndpoint,
    tokenEndpoint,
    registrationEndpoint,
    register,
    client,
    otherClient,
    ...steps,
    /** Codes of several requests, to judge how they are made. */
    sample: once(async () => Promise.all(Array.from({ length: 10 }, () => steps.device()))),
  }
}

function stepsOf(at: { deviceEndpoint: string; tokenEndpoint: string; options: Options; client(): Promise<Client> }) {
  const { options } = at

  /** A device authorization request (RFC 8628 3.1). */
  async function requestDevice(as?: Client, more: Record<string, string> = {}): Promise<Answer> {
    const { headers, form } = authenticated(as ?? (await at.client()), { ...scopeOf(options), ...more })
    return send(at.deviceEndpoint, { method: 'POST', headers, body: new URLSearchParams(form) })
  }

  async function device(as?: Client): Promise<Device> {
    const answer = await requestDevice(as)
    const deviceCode = text(answer.json?.device_code)
    const userCode = text(answer.json?.user_code)
    if (!deviceCode || !userCode)
      throw new Unchecked('not tested', `no device code: the request was answered ${describe(answer)}`)
    return {
      deviceCode,
      userCode,
      verificationUri: text(answer.json?.verification_uri) ?? '',
      verificationUriComplete: text(answer.json?.verification_uri_complete),
      expiresIn: Number(answer.json?.expires_in),
      interval: Number(answer.json?.interval ?? 5),
    }
  }

  async function requestToken(form: Record<string, string>, as?: Client, asJson = options.jsonTokens): Promise<Answer> {
    const { headers, form: full } = authenticated(as ?? (await at.client()), form)
    if (asJson) return sendJson(at.tokenEndpoint, full, { headers })
    return send(at.tokenEndpoint, { method: 'POST', headers, body: new URLSearchParams(full) })
  }

  const poll = (code: Pick<Device, 'deviceCode'>, as?: Client) =>
    requestToken({ grant_type: DEVICE_CODE_GRANT, device_code: code.deviceCode }, as)

  let turn: Promise<void> = Promise.resolve()
  /** Lets a person decide, one request at a time. */
  async function decide(code: Device, decision: 'approve' | 'deny'): Promise<void> {
    const { approve } = options
    if (!approve) throw new Unchecked('not tested', 'no way to approve was given')
    const mine = turn.then(() => approve(code, decision))
    turn = mine.catch(() => {}) // whoever waits for it is told
    await mine
  }

  /** The whole flow. @returns the token response. */
  async function tokens(as?: Client): Promise<Answer> {
    const code = await device(as)
    await decide(code, 'approve')
    return poll(code, as)
  }

  return {
    requestDevice,
    device,
    requestToken,
    poll,
    decide,
    tokens,
    refresh: (refreshToken: string, as?: Client) =>
      requestToken({ grant_type: 'refresh_token', refresh_token: refreshToken }, as),
  }
}

function authenticated({ id, secret }: Client, form: Record<string, string>) {
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (secret === undefined) return { headers, form: { client_id: id, ...form } }
  const pair = [id, secret].map(part => new URLSearchParams({ v: part }).toString().slice(2)).join(':')
  return { headers: { ...headers, Authorization: `Basic ${btoa(pair)}` }, form }
}

const scopeOf = ({ scope }: Options): Record<string, string> => (scope ? { scope } : {})

/** What a device registers: it has no browser to be redirected to. */
export function deviceClient(name: string): Record<string, unknown> {
  return {
    // Servers may answer equal registrations with one client.
    client_name: `Conformance ${name} ${crypto.randomUUID()}`,
    grant_types: [DEVICE_CODE_GRANT, 'refresh_token'],
    response_types: [],
    token_endpoint_auth_method: 'none',
  }
}

/** RFC 8414 3.1, and where OpenID Connect Discovery has it. */
async function discover(issuer: string): Promise<Answer | undefined> {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  for (const url of [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}/.well-known/openid-configuration${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ]) {
    const answer = await send(url).catch(error => {
      throw new BrokenRun(`${origin} does not answer: ${(error as Error).message}`)
    })
    if (answer.status === 200 && answer.json) return answer
  }
  return undefined
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make()
    return made
  }
}
