/** Dynamic client registration (RFC 7591). */
import { type Answer, describe, errorOf, isJson, isNotStored, sendJson } from '../http.ts'
import { DEVICE_CODE_GRANT } from '../model.ts'
import { fail, notOffered, passIf, type Requirement } from '../requirement.ts'
import { deviceClient, type Target } from '../target.ts'
import { listOf } from './discovery.ts'

const REFUSALS = ['invalid_redirect_uri', 'invalid_client_metadata']
const refused = (answer: Answer) => answer.status === 400 && REFUSALS.includes(errorOf(answer))

const webClient = (redirectUris: string[]) => ({
  client_name: `Conformance redirect ${crypto.randomUUID()}`,
  redirect_uris: redirectUris,
  grant_types: ['authorization_code'],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
})

/** A client with a redirect URI that is not allowed is refused, or registered without it. */
async function turnsAway(target: Target, uris: string[]) {
  const taken: string[] = []
  for (const uri of uris) {
    const answer = await target.register(webClient([uri]))
    if (!refused(answer) && (answer.status !== 201 || listOf(answer.json?.redirect_uris).includes(uri)))
      taken.push(`${uri}: ${answer.status}`)
  }
  return taken.length ? fail(taken.join(', ')) : passIf(true, 'turned away')
}

export const registration: Requirement[] = [
  {
    id: 'REG-1',
    level: 'MUST',
    source: 'RFC 7591 3.2.1',
    expected: 'A registration is answered with 201, application/json and a client_id',
    async check(target) {
      const answer = await target.register(webClient(['https://client.example/callback']))
      return passIf(answer.status === 201 && isJson(answer) && !!answer.json?.client_id, describe(answer))
    },
  },
  {
    id: 'REG-2',
    level: 'SHOULD',
    source: 'RFC 7591 2, RFC 8628 3.1',
    expected: 'A client with the device grant alone registers without redirect URIs',
    async check(target) {
      const answer = await target.register(deviceClient('no redirect'))
      return passIf(answer.status === 201, describe(answer))
    },
  },
  {
    id: 'REG-3',
    level: 'MUST',
    source: 'RFC 7591 2',
    expected: 'Metadata that the server does not understand is ignored',
    async check(target) {
      const answer = await target.register({ ...deviceClient('unknown'), conformance_unknown: { a: [1] } })
      return passIf(answer.status === 201, describe(answer))
    },
  },
  {
    id: 'REG-4',
    level: 'MUST',
    source: 'RFC 7591 3.2.1',
    expected: 'The answer says what was registered: grant_types with the device grant, token_endpoint_auth_method',
    async check(target) {
      const answer = await target.register(deviceClient('echo'))
      const grant = listOf(answer.json?.grant_types).includes(DEVICE_CODE_GRANT)
      const method = typeof answer.json?.token_endpoint_auth_method === 'string'
      return passIf(
        grant && method,
        `grant type ${grant ? 'there' : 'missing'}, method ${method ? 'there' : 'missing'}`,
      )
    },
  },
  {
    id: 'REG-5',
    level: 'MUST',
    source: 'RFC 7591 3.2.1',
    expected: 'client_secret_expires_at is there if, and because, client_secret is',
    async check(target) {
      const client = { ...deviceClient('secret'), token_endpoint_auth_method: 'client_secret_basic' }
      const answer = await target.register(client)
      if (answer.json?.client_secret === undefined) return notOffered(`no secret: ${describe(answer)}`)
      const kind = typeof answer.json.client_secret_expires_at
      return passIf(kind === 'number', kind === 'number' ? 'a number' : 'missing')
    },
  },
  {
    id: 'REG-6',
    level: 'SHOULD',
    source: 'RFC 7591 3.2.1, RFC 6749 5.1',
    expected: 'The answer holds credentials, so it has Cache-Control: no-store',
    async check(target) {
      const answer = await target.register(deviceClient('cache'))
      return passIf(isNotStored(answer), isNotStored(answer) ? 'no-store' : 'no no-store')
    },
  },
  {
    id: 'REG-7',
    level: 'MUST',
    source: 'RFC 7591 3.2.2',
    expected: 'Metadata of the wrong type is refused with 400 invalid_redirect_uri or invalid_client_metadata',
    async check(target) {
      const answer = await target.register({ ...webClient([]), redirect_uris: 7 })
      return passIf(refused(answer) && isJson(answer), describe(answer))
    },
  },
  {
    id: 'REG-8',
    level: 'MUST',
    source: 'RFC 6749 3.1.2, RFC 7591 5',
    expected: 'Redirect URIs with a fragment, or relative ones, are not registered',
    check: target => turnsAway(target, ['https://client.example/cb#fragment', '/callback']),
  },
  {
    id: 'REG-9',
    level: 'MUST',
    source: 'RFC 7591 5',
    expected: 'Redirect URIs are https, http on loopback, or private: plain http to another host is not registered',
    check: target => turnsAway(target, ['http://client.example/callback']),
  },
  {
    id: 'REG-10',
    level: 'SHOULD',
    source: 'RFC 7591 5',
    expected: 'Schemes that a browser runs (javascript:, data:) are not registered',
    check: target => turnsAway(target, ['javascript:alert(1)', 'data:text/html,x']),
  },
  {
    id: 'REG-11',
    level: 'SHOULD',
    source: 'RFC 7591 2.1',
    expected: 'A client cannot register inconsistently: response type code without the grant type authorization_code',
    async check(target) {
      const client = { ...deviceClient('inconsistent'), redirect_uris: ['https://client.example/callback'] }
      const answer = await target.register({ ...client, response_types: ['code'] })
      if (refused(answer)) return passIf(true, describe(answer))
      const grants = listOf(answer.json?.grant_types)
      const consistent = grants.includes('authorization_code') === listOf(answer.json?.response_types).includes('code')
      return passIf(answer.status === 201 && consistent, consistent ? 'made consistent' : 'registered as sent')
    },
  },
  {
    id: 'REG-12',
    level: 'SHOULD',
    source: 'RFC 7591 3',
    expected: 'A wrong initial access token is refused with 401',
    async check(target) {
      if (!target.registrationEndpoint) return notOffered('no registration_endpoint')
      const headers = { Authorization: `Bearer ${crypto.randomUUID()}` }
      const answer = await sendJson(target.registrationEndpoint, deviceClient('token'), { headers })
      if (answer.status === 201) return notOffered('registration is open, and what is sent as a token ignored')
      return passIf(answer.status === 401, describe(answer))
    },
  },
]
