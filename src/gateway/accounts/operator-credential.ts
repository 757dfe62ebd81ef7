/** The operator's own token for one upstream (client credentials, RFC 6749 4.4): the same for every caller, kept in memory. */
import { clientCredentialsGrantRequest, processClientCredentialsResponse, ResponseBodyError } from 'oauth4webapi'
import type { Base } from '../../base.ts'
import { AppError } from '../../lib/errors.ts'
import { SafeFetchError } from '../../lib/safe-fetch.ts'
import type { UpstreamConfig } from '../config.ts'
import { fail, type UpstreamFailure } from '../connection.ts'
import type { Credential } from '../credential.ts'
import { authenticationOf, configuredClient } from './client-identity.ts'
import type { Discovered } from './discovery.ts'
import { openReach, requestOptions } from './reach.ts'
import { expiryOf, isKnownCode } from './refresh.ts'

interface Token {
  header: string
  obtainedAt: number
  /** Milliseconds; less than the token's own life. */
  until: number
}

const MARGIN_MS = 30_000
/** A token that is rejected this soon after it was issued is not replaced. */
const YOUNG_MS = 10_000
/** After a failure. */
const PAUSE_MS = 10_000

export function openOperatorCredentials(
  base: Base,
  discover: (config: UpstreamConfig) => Promise<Discovered>,
): (config: UpstreamConfig) => Credential {
  const tokens = new Map<string, Token>()
  const asking = new Map<string, Promise<Token>>()
  const failures = new Map<string, { failure: UpstreamFailure; until: number }>()

  async function request(config: UpstreamConfig): Promise<Token> {
    try {
      const { server, resource, scope } = await discover(config)
      const client = configuredClient(config, server)!
      const identity = { client_id: client.id }
      const parameters = { resource, ...(scope && scope.length > 0 ? { scope: scope.join(' ') } : {}) }
      const options = requestOptions(openReach(base.outbound, config))
      const response = await clientCredentialsGrantRequest(
        server,
        identity,
        authenticationOf(client),
        parameters,
        options,
      )
      const answer = await processClientCredentialsResponse(server, identity, response)
      const now = base.now()
      const expiresAt = expiryOf(answer, now)?.getTime() ?? Number.POSITIVE_INFINITY
      const margin = Math.min(MARGIN_MS, (expiresAt - now.getTime()) / 4)
      return { header: `Bearer ${answer.access_token}`, obtainedAt: now.getTime(), until: expiresAt - margin }
    } catch (error) {
      throw fail('refused', `no token for it: ${detailOf(error)}`)
    }
  }

  /** One request for all who ask, and after a failure none for a while. */
  function obtain(config: UpstreamConfig): Promise<Token> {
    const { fingerprint: key } = config
    const failed = failures.get(key)
    if (failed && failed.until > base.now().getTime()) return Promise.reject(failed.failure)
    let running = asking.get(key)
    if (!running) {
      running = request(config).finally(() => asking.delete(key))
      running.then(
        token => tokens.set(key, token),
        failure => failures.set(key, { failure, until: base.now().getTime() + PAUSE_MS }),
      )
      asking.set(key, running)
    }
    return running
  }

  return config => {
    const { fingerprint: key } = config
    return {
      header() {
        const token = tokens.get(key)
        if (token && base.now().getTime() < token.until) return token.header
        return obtain(config).then(({ header }) => header)
      },
      async renewed(refused) {
        const token = tokens.get(key)
        if (token && token.header !== refused) return token.header
        if (token && base.now().getTime() - token.obtainedAt < YOUNG_MS) return undefined
        return (await obtain(config)).header
      },
      wants: async () => false,
    }
  }
}

/** Without anything that a server said, except its codes. */
function detailOf(error: unknown): string {
  if (error instanceof AppError) return error.detail ?? error.title
  if (error instanceof SafeFetchError) return `the token endpoint ${error.detail}`
  if (error instanceof ResponseBodyError && isKnownCode(error.error)) return `the token endpoint answers ${error.error}`
  return 'the token endpoint does not answer with a token'
}
