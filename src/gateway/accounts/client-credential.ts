/**
 * Tokens that the operator's client obtains at an upstream's authorization server, kept in memory: its own, the same for
 * every caller (client credentials, RFC 6749 4.4), or one for each caller (token exchange, RFC 8693).
 */
import {
  clientCredentialsGrantRequest,
  genericTokenEndpointRequest,
  processClientCredentialsResponse,
  processGenericTokenEndpointResponse,
  ResponseBodyError,
} from 'oauth4webapi'
import type { Base } from '../../base.ts'
import { makeRoom } from '../../lib/bounded.ts'
import { AppError } from '../../lib/errors.ts'
import { SafeFetchError } from '../../lib/safe-fetch.ts'
import type { UpstreamConfig } from '../config.ts'
import { fail, type UpstreamFailure } from '../connection.ts'
import type { Credential } from '../credential.ts'
import type { GatewayCaller } from '../exchange.ts'
import { authenticationOf, configuredClient } from './client-identity.ts'
import type { Discovered } from './discovery.ts'
import { openReach, requestOptions } from './reach.ts'
import { expiryOf, isKnownCode } from './refresh.ts'

/**
 * Issues a token of ours that says who the caller is, for token exchange. The client's own token is for this server only, so
 * it is never sent.
 *
 * @param audience The issuer of the authorization server that it is for.
 */
export type IssueSubjectToken = (caller: Pick<GatewayCaller, 'clientId' | 'user'>, audience: string) => string

export interface ClientCredentials {
  /** The client's own credential. */
  own(config: UpstreamConfig): Credential
  /** A caller's credential. */
  exchanged(config: UpstreamConfig, caller: GatewayCaller): Credential
  /** Drops a caller's tokens. */
  forget(principal: string): void
}

interface Token {
  header: string
  obtainedAt: number
  /** Milliseconds; less than the token's own life. */
  until: number
}

interface Slot {
  token?: Token
  obtaining?: Promise<Token>
  failed?: { failure: UpstreamFailure; until: number }
}

const MARGIN_MS = 30_000
/** A token that is rejected this soon after it was issued is not replaced. */
const YOUNG_MS = 10_000
/** After a failure. */
const PAUSE_MS = 10_000
/** Maximum number of tokens in memory; the oldest are dropped. */
const MOST = 10_000

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const TOKEN_TYPE = 'urn:ietf:params:oauth:token-type'

export function openClientCredentials(
  base: Base,
  discover: (config: UpstreamConfig) => Promise<Discovered>,
  issueSubjectToken: IssueSubjectToken,
): ClientCredentials {
  const slots = new Map<string, Slot>()

  function slotOf(key: string): Slot {
    let slot = slots.get(key)
    if (slot) return slot
    slot = {}
    makeRoom(slots, MOST).set(key, slot)
    return slot
  }

  async function request(config: UpstreamConfig, caller: GatewayCaller | undefined): Promise<Token> {
    try {
      const { server, resource, scope } = await discover(config)
      const client = configuredClient(config, server)!
      const identity = { client_id: client.id }
      const authentication = authenticationOf(client)
      const parameters = { resource, ...(scope && scope.length > 0 ? { scope: scope.join(' ') } : {}) }
      const options = requestOptions(openReach(base.outbound, config))
      const answer = caller
        ? await genericTokenEndpointRequest(
            server,
            identity,
            authentication,
            TOKEN_EXCHANGE,
            {
              ...parameters,
              subject_token: issueSubjectToken(caller, server.issuer),
              subject_token_type: `${TOKEN_TYPE}:jwt`,
              requested_token_type: `${TOKEN_TYPE}:access_token`,
            },
            options,
          ).then(response => processGenericTokenEndpointResponse(server, identity, response))
        : await clientCredentialsGrantRequest(server, identity, authentication, parameters, options).then(response =>
            processClientCredentialsResponse(server, identity, response),
          )
      const now = base.now()
      const expiresAt = expiryOf(answer, now)?.getTime() ?? Number.POSITIVE_INFINITY
      const margin = Math.min(MARGIN_MS, (expiresAt - now.getTime()) / 4)
      return { header: `Bearer ${answer.access_token}`, obtainedAt: now.getTime(), until: expiresAt - margin }
    } catch (error) {
      throw fail('refused', `no token for it: ${detailOf(error)}`)
    }
  }

  /** One request for all who ask, and after a failure none for a while. */
  function obtain(slot: Slot, config: UpstreamConfig, caller: GatewayCaller | undefined): Promise<Token> {
    if (slot.failed && slot.failed.until > base.now().getTime()) return Promise.reject(slot.failed.failure)
    if (slot.obtaining) return slot.obtaining
    const obtaining = request(config, caller).finally(() => delete slot.obtaining)
    obtaining.then(
      token => {
        slot.token = token
      },
      failure => {
        slot.failed = { failure, until: base.now().getTime() + PAUSE_MS }
      },
    )
    slot.obtaining = obtaining
    return obtaining
  }

  function credential(key: string, config: UpstreamConfig, caller: GatewayCaller | undefined): Credential {
    return {
      header() {
        const slot = slotOf(key)
        const { token } = slot
        if (token && base.now().getTime() < token.until) return token.header
        return obtain(slot, config, caller).then(({ header }) => header)
      },
      async renewed(refused) {
        const slot = slotOf(key)
        const { token } = slot
        if (token && token.header !== refused) return token.header
        if (token && base.now().getTime() - token.obtainedAt < YOUNG_MS) return undefined
        return (await obtain(slot, config, caller)).header
      },
      wants: async () => false,
    }
  }

  return {
    own: config => credential(config.fingerprint, config, undefined),
    exchanged: (config, caller) => credential(`${caller.principal} ${config.fingerprint}`, config, caller),
    forget(principal) {
      for (const key of slots.keys()) if (key.startsWith(`${principal} `)) slots.delete(key)
    },
  }
}

/** Without anything that a server said, except its codes. */
function detailOf(error: unknown): string {
  if (error instanceof AppError) return error.detail ?? error.title
  if (error instanceof SafeFetchError) return `the token endpoint ${error.detail}`
  if (error instanceof ResponseBodyError && isKnownCode(error.error)) return `the token endpoint answers ${error.error}`
  return 'the token endpoint does not answer with a token'
}
