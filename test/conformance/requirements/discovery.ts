/** Authorization server metadata (RFC 8414) and what the device grant adds to it. */
import { describe, isJson, isLoopback, mediaType } from '../http.ts'
import { DEVICE_CODE_GRANT } from '../model.ts'
import { type Finding, fail, notOffered, notTested, passIf, type Requirement } from '../requirement.ts'
import type { Target } from '../target.ts'

export const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

function withMetadata(check: (metadata: Record<string, unknown>, target: Target) => Finding): Requirement['check'] {
  return async target => (target.metadata ? check(target.metadata, target) : notOffered('no metadata document'))
}

export const discovery: Requirement[] = [
  {
    id: 'META-1',
    level: 'MUST',
    source: 'RFC 8414 3.3',
    expected: "The metadata's issuer is exactly the URL that it was asked from",
    check: withMetadata((metadata, { options }) =>
      passIf(metadata.issuer === options.issuer, metadata.issuer === options.issuer ? 'the same' : 'another issuer'),
    ),
  },
  {
    id: 'META-2',
    level: 'MUST',
    source: 'RFC 8414 3.2',
    expected: 'Metadata is served with 200 as application/json',
    check: async ({ metadataAnswer: answer }) =>
      answer ? passIf(isJson(answer), `${answer.status} ${mediaType(answer)}`) : notOffered('no metadata document'),
  },
  {
    id: 'META-3',
    level: 'SHOULD',
    source: 'RFC 8628 4',
    expected: 'Metadata names device_authorization_endpoint and lists the grant type',
    check: withMetadata(metadata => {
      const endpoint = typeof metadata.device_authorization_endpoint === 'string'
      const grant = listOf(metadata.grant_types_supported).includes(DEVICE_CODE_GRANT)
      return passIf(
        endpoint && grant,
        `endpoint ${endpoint ? 'named' : 'missing'}, grant type ${grant ? 'listed' : 'missing'}`,
      )
    }),
  },
  {
    id: 'META-4',
    level: 'MUST',
    source: 'RFC 8628 3.1, RFC 6749 3.2',
    expected: 'The device and token endpoints use TLS',
    async check({ deviceEndpoint, tokenEndpoint }) {
      const plain = [deviceEndpoint, tokenEndpoint].filter(url => new URL(url).protocol !== 'https:')
      if (plain.length > 0 && plain.every(isLoopback)) return notTested('plain http on loopback')
      return passIf(plain.length === 0, `${plain.length} of 2 without`)
    },
  },
  {
    id: 'META-5',
    level: 'MUST',
    source: 'RFC 9700 2.4',
    expected: 'The resource owner password credentials grant is not offered',
    check: withMetadata(metadata => {
      const offered = listOf(metadata.grant_types_supported).includes('password')
      return passIf(!offered, offered ? 'password is listed' : 'not listed')
    }),
  },
  {
    id: 'META-6',
    level: 'SHOULD',
    source: 'RFC 9700 2.1.2',
    expected: 'No response type puts an access token into the authorization response',
    check: withMetadata(metadata => {
      const types = listOf(metadata.response_types_supported)
      const implicit = types.filter(type => typeof type === 'string' && type.split(' ').includes('token'))
      return implicit.length > 0 ? fail(`${implicit.length} such response types`) : passIf(true, 'none')
    }),
  },
  {
    id: 'META-7',
    level: 'MUST',
    source: 'RFC 9700 2.4',
    expected: 'A token request with the password grant is refused',
    async check(target) {
      const answer = await target.requestToken({ grant_type: 'password', username: 'nobody', password: 'nothing' })
      return passIf(answer.status >= 400 && answer.json?.access_token === undefined, describe(answer))
    },
  },
]
