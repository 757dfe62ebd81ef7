/** The device authorization request and response (RFC 8628 3.1, 3.2). */
import { type Answer, describe, errorOf, isJson, isNotStored, mediaType, send } from '../http.ts'
import { Unchecked } from '../model.ts'
import { fail, notOffered, passIf, type Requirement } from '../requirement.ts'
import { deviceClient, type Target } from '../target.ts'

const isText = (value: unknown) => typeof value === 'string' && value !== ''
const isPositive = (value: unknown) => typeof value === 'number' && value > 0
const hasCodes = (answer: Answer) => answer.status === 200 && isText(answer.json?.device_code)

/** A client with a secret, and the same with a wrong one. */
async function impostor(target: Target) {
  const answer = await target.register({
    ...deviceClient('secret'),
    token_endpoint_auth_method: 'client_secret_basic',
  })
  const { client_id: id, client_secret: secret } = answer.json ?? {}
  if (typeof id !== 'string') throw new Unchecked('not tested', `registration was answered ${describe(answer)}`)
  if (typeof secret !== 'string') throw new Unchecked('not offered', 'no secret for a registered client')
  return { id, secret: `wrong-${crypto.randomUUID()}` }
}

const required = (answer: Answer) =>
  [
    isText(answer.json?.device_code) ? '' : 'device_code',
    isText(answer.json?.user_code) ? '' : 'user_code',
    URL.canParse(String(answer.json?.verification_uri)) ? '' : 'verification_uri',
    isPositive(answer.json?.expires_in) ? '' : 'expires_in',
  ].filter(Boolean)

export const deviceAuthorization: Requirement[] = [
  {
    id: 'DEV-1',
    level: 'MUST',
    source: 'RFC 8628 3.1, 3.2',
    expected: 'A form-encoded POST is answered with 200 and a JSON object',
    async check(target) {
      const answer = await target.requestDevice()
      return passIf(answer.status === 200 && answer.json !== undefined, describe(answer))
    },
  },
  {
    id: 'DEV-2',
    level: 'MUST',
    source: 'RFC 8628 3.2',
    expected: 'The response has the content type application/json',
    async check(target) {
      const answer = await target.requestDevice()
      return passIf(isJson(answer), mediaType(answer))
    },
  },
  {
    id: 'DEV-3',
    level: 'MUST',
    source: 'RFC 8628 3.2',
    expected: 'device_code, user_code, an absolute verification_uri and expires_in (seconds, a number) are there',
    async check(target) {
      const missing = required(await target.requestDevice())
      return missing.length ? fail(`missing or malformed: ${missing.join(', ')}`) : passIf(true, 'all of them')
    },
  },
  {
    id: 'DEV-4',
    level: 'MUST',
    source: 'RFC 8628 3.2',
    expected: 'interval, if present, is a number of seconds',
    async check(target) {
      const { json } = await target.requestDevice()
      if (json?.interval === undefined) return notOffered('no interval: clients use 5 seconds')
      return passIf(isPositive(json.interval), `a ${typeof json.interval}`)
    },
  },
  {
    id: 'DEV-5',
    level: 'MUST',
    source: 'RFC 8628 3.2, RFC 6749 5.1',
    expected: 'The response holds credentials, so it has Cache-Control: no-store',
    async check(target) {
      const answer = await target.requestDevice()
      return passIf(isNotStored(answer), isNotStored(answer) ? 'no-store' : 'no no-store')
    },
  },
  {
    id: 'DEV-6',
    level: 'MUST',
    source: 'RFC 8628 3.1',
    expected: 'Unrecognized request parameters are ignored',
    async check(target) {
      const answer = await target.requestDevice(undefined, { conformance_unknown: 'x' })
      return passIf(hasCodes(answer), describe(answer))
    },
  },
  {
    id: 'DEV-7',
    level: 'MUST',
    source: 'RFC 8628 3.1',
    expected: 'Parameters without a value are treated as omitted',
    async check(target) {
      const without = await target.requestDevice(undefined, { resource: '', conformance_unknown: '' })
      return passIf(hasCodes(without), describe(without))
    },
  },
  {
    id: 'DEV-8',
    level: 'SHOULD',
    source: 'RFC 8628 3.1, RFC 6749 5.2',
    expected: 'A request with client_id twice is refused as invalid_request',
    async check(target) {
      const { id } = await target.client()
      const body = new URLSearchParams([
        ['client_id', id],
        ['client_id', id],
      ])
      const answer = await send(target.deviceEndpoint, { method: 'POST', body })
      return passIf(answer.status === 400 && errorOf(answer) === 'invalid_request', describe(answer))
    },
  },
  {
    id: 'DEV-9',
    level: 'MUST',
    source: 'RFC 8628 3.2, RFC 6749 5.2',
    expected: 'An unknown client is refused with 400 or 401 invalid_client',
    async check(target) {
      const answer = await target.requestDevice({ id: crypto.randomUUID() })
      return passIf([400, 401].includes(answer.status) && errorOf(answer) === 'invalid_client', describe(answer))
    },
  },
  {
    id: 'DEV-10',
    level: 'MUST',
    source: 'RFC 8628 3.1, RFC 6749 5.2',
    expected: 'A request without any client is refused with 400 or 401, invalid_request or invalid_client',
    async check(target) {
      const answer = await send(target.deviceEndpoint, { method: 'POST', body: new URLSearchParams({ scope: '' }) })
      const named = ['invalid_request', 'invalid_client'].includes(errorOf(answer))
      return passIf([400, 401].includes(answer.status) && named, describe(answer))
    },
  },
  {
    id: 'DEV-11',
    level: 'MUST',
    source: 'RFC 8628 3.1, RFC 6749 3.2.1',
    expected: 'A client that has a secret is refused as invalid_client with a wrong one',
    async check(target) {
      const answer = await target.requestDevice(await impostor(target))
      return passIf([400, 401].includes(answer.status) && errorOf(answer) === 'invalid_client', describe(answer))
    },
  },
  {
    id: 'DEV-12',
    level: 'MUST',
    source: 'RFC 6749 5.2',
    expected: 'Failed HTTP Basic authentication is answered with 401 and WWW-Authenticate: Basic',
    async check(target) {
      const answer = await target.requestDevice(await impostor(target))
      const challenge = /\bbasic\b/i.test(answer.headers.get('www-authenticate') ?? '')
      return passIf(answer.status === 401 && challenge, `${answer.status}, ${challenge ? 'challenge' : 'no challenge'}`)
    },
  },
  {
    id: 'DEV-13',
    level: 'SHOULD',
    source: 'RFC 8628 3.1',
    expected: 'A GET is not answered with codes',
    async check(target) {
      const { id } = await target.client()
      const answer = await send(`${target.deviceEndpoint}?${new URLSearchParams({ client_id: id })}`)
      return passIf(!hasCodes(answer), describe(answer))
    },
  },
]
