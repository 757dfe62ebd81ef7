/** Management of dynamic registrations (RFC 7592), where the answer to a registration offers it. */
import { describe, errorOf, isJson, send, sendJson } from '../http.ts'
import { Unchecked } from '../model.ts'
import { fail, notOffered, notTested, passIf, type Requirement } from '../requirement.ts'
import { deviceClient, type Target } from '../target.ts'

interface Managed {
  id: string
  uri: string
  /** The Authorization header that opens it. */
  headers: { Authorization: string }
  json: Record<string, unknown>
}

async function managed(target: Target, more: Record<string, unknown> = {}): Promise<Managed> {
  const { json, ...answer } = await target.register({ ...deviceClient('managed'), ...more })
  const { registration_client_uri: uri, registration_access_token: token, client_id: id } = json ?? {}
  if (typeof id !== 'string')
    throw new Unchecked('not tested', `registration was answered ${describe({ json, ...answer })}`)
  if (typeof uri !== 'string' || typeof token !== 'string')
    throw new Unchecked('not offered', 'no registration_client_uri and registration_access_token')
  return { id, uri, headers: { Authorization: `Bearer ${token}` }, json: json! }
}

/** What a PUT sends: everything but what RFC 7592 2.2 forbids. */
function changed({ json }: Managed, change: Record<string, unknown>): Record<string, unknown> {
  const kept = Object.entries(json).filter(
    ([name]) => !/^(registration_|client_secret_expires_at|client_id_issued_at)/.test(name),
  )
  return { ...Object.fromEntries(kept), ...change }
}

const put = (client: Managed, body: unknown) => sendJson(client.uri, body, { method: 'PUT', headers: client.headers })

export const registrationManagement: Requirement[] = [
  {
    id: 'MGT-1',
    level: 'MUST',
    source: 'RFC 7592 3',
    expected: 'registration_client_uri, an absolute URL, and registration_access_token come together',
    async check(target) {
      const { json } = await target.register(deviceClient('management'))
      const uri = json?.registration_client_uri
      const token = json?.registration_access_token
      if (uri === undefined && token === undefined) return notOffered('neither')
      return passIf(URL.canParse(String(uri)) && typeof token === 'string', `${typeof uri} and ${typeof token}`)
    },
  },
  {
    id: 'MGT-2',
    level: 'MUST',
    source: 'RFC 7592 2.1, 3',
    expected: 'A GET with the token is answered with 200 and the registration',
    async check(target) {
      const client = await managed(target)
      const answer = await send(client.uri, { headers: client.headers })
      return passIf(answer.status === 200 && isJson(answer) && answer.json?.client_id === client.id, describe(answer))
    },
  },
  {
    id: 'MGT-3',
    level: 'MUST',
    source: 'RFC 7592 2.1, RFC 6750 3.1',
    expected: 'A GET without the token, or with a wrong one, is answered with 401',
    async check(target) {
      const { uri } = await managed(target)
      const without = await send(uri)
      const wrong = await send(uri, { headers: { Authorization: `Bearer ${crypto.randomUUID()}` } })
      return passIf(
        without.status === 401 && wrong.status === 401,
        `${without.status} without, ${wrong.status} with a wrong one`,
      )
    },
  },
  {
    id: 'MGT-4',
    level: 'MUST',
    source: 'RFC 7592 2',
    expected: "Another client's token is refused with 401 or 403",
    async check(target) {
      const [client, other] = [await managed(target), await managed(target)]
      const answer = await send(client.uri, { headers: other.headers })
      return passIf([401, 403].includes(answer.status), describe(answer))
    },
  },
  {
    id: 'MGT-5',
    level: 'MUST',
    source: 'RFC 7592 2.2',
    expected: 'A PUT replaces the metadata and is answered with 200 and the new registration',
    async check(target) {
      const client = await managed(target)
      const name = `Conformance renamed ${crypto.randomUUID()}`
      const answer = await put(client, changed(client, { client_name: name }))
      if (answer.status === 405) return notOffered('405 for PUT')
      const renamed = answer.json?.client_name === name && answer.json?.client_id === client.id
      return passIf(answer.status === 200 && renamed, `${answer.status}, ${renamed ? 'renamed' : 'not renamed'}`)
    },
  },
  {
    id: 'MGT-6',
    level: 'SHOULD',
    source: 'RFC 7592 2.2',
    expected: "A PUT that names another client's id is refused",
    async check(target) {
      const [client, other] = [await managed(target), await managed(target)]
      const answer = await put(client, changed(client, { client_id: other.id }))
      if (answer.status === 405) return notOffered('405 for PUT')
      return passIf(answer.status >= 400 && answer.status < 500, describe(answer))
    },
  },
  {
    id: 'MGT-7',
    level: 'MUST',
    source: 'RFC 7592 2.3',
    expected: 'A DELETE is answered with 204; the token is 401 and the client invalid_client from then on',
    async check(target) {
      const client = await managed(target)
      const deleted = await send(client.uri, { method: 'DELETE', headers: client.headers })
      if (deleted.status === 405) return notOffered('405 for DELETE')
      if (deleted.status !== 204) return fail(describe(deleted))
      const read = await send(client.uri, { headers: client.headers })
      const asked = await target.requestDevice({ id: client.id })
      const gone = read.status === 401 && errorOf(asked) === 'invalid_client'
      return passIf(gone, `204, then ${read.status} and ${errorOf(asked)}`)
    },
  },
  {
    id: 'MGT-8',
    level: 'SHOULD',
    source: 'RFC 7592 2.3',
    expected: "A deleted client's refresh tokens end at once",
    async check(target) {
      const client = await managed(target)
      const token = (await target.tokens({ id: client.id })).json?.refresh_token
      if (typeof token !== 'string') return notOffered('no refresh token for such a client')
      const deleted = await send(client.uri, { method: 'DELETE', headers: client.headers })
      if (deleted.status !== 204) return notTested(`DELETE was answered ${describe(deleted)}`)
      const answer = await target.refresh(token, { id: client.id })
      return passIf(answer.status >= 400 && answer.json?.access_token === undefined, describe(answer))
    },
  },
  {
    id: 'MGT-9',
    level: 'MUST',
    source: 'RFC 7592 2.2',
    expected: 'A client cannot choose its own secret with a PUT',
    async check(target) {
      const client = await managed(target, { token_endpoint_auth_method: 'client_secret_basic' })
      if (typeof client.json.client_secret !== 'string') return notOffered('no secret for a registered client')
      const chosen = { id: client.id, secret: `chosen-${crypto.randomUUID()}` }
      const answer = await put(client, changed(client, { client_secret: chosen.secret }))
      if (answer.status === 405) return notOffered('405 for PUT')
      const asked = await target.requestDevice(chosen)
      return passIf(asked.status !== 200, `${answer.status} for the PUT, then ${describe(asked)}`)
    },
  },
  {
    id: 'MGT-10',
    level: 'MUST',
    source: 'RFC 7592 2.2',
    expected: 'Members that a PUT omits are gone, not kept',
    async check(target) {
      const client = await managed(target)
      const answer = await put(client, changed(client, { client_name: undefined }))
      if (answer.status === 405) return notOffered('405 for PUT')
      if (answer.status !== 200) return notTested(`a PUT without client_name was answered ${describe(answer)}`)
      const kept = answer.json?.client_name === client.json.client_name
      return passIf(!kept, kept ? 'client_name was kept' : 'client_name is gone')
    },
  },
]
