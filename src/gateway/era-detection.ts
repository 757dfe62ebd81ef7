/**
 * Detects the era of an upstream and opens the connection: `server/discover` (2026-07-28) or `initialize` (2025-11-25
 * and before); the newer one if the upstream speaks both. The caller remembers the result.
 */
import packageJson from '../../package.json' with { type: 'json' }
import { fail, UpstreamFailure } from './connection.ts'
import { isObject, type RpcResponse } from './messages.ts'
import type { CallOptions, Peer } from './peer.ts'
import {
  CLIENT_CAPABILITIES,
  CLIENT_INFO,
  LEGACY,
  LEGACY_REVISIONS,
  MODERN,
  metaOf,
  PROTOCOL_VERSION,
  SERVER_INFO,
} from './protocol.ts'

export type Era = '2026' | '2025'
/** What an upstream speaks: an era, and for HTTP of 2025 whether it is the transport of 2024-11-05. */
export type Speaks = '2026' | '2025' | '2025-sse'

export interface ServerDescription {
  capabilities: Record<string, unknown>
  instructions?: string
  serverInfo?: Record<string, unknown>
}

export interface Handshake {
  peer: Peer
  speaks: Speaks
  era: Era
  revision: string
  server: ServerDescription
}

export interface HandshakeOptions {
  /** Opens a new connection each time: a new process, a new session. */
  dial(kind: 'plain' | 'sse'): Promise<Peer>
  transport: 'stdio' | 'http'
  /** The only transport to try; absent: any. */
  only?: 'streamable-http' | 'sse'
  known?: Speaks
  /** Limit for the first answer, in milliseconds. */
  startTimeout: number
  /** The capabilities that we declare to a 2025 upstream. */
  capabilities: Record<string, unknown>
}

export const OUR_CLIENT_INFO = { name: packageJson.name, version: packageJson.version }
/** How long to wait for an answer to `server/discover`: a running server rejects an unknown method sooner. */
const PROBE_MS = 5_000

/** @throws UpstreamFailure if the upstream does not start, or speaks neither era. */
export async function shakeHands(options: HandshakeOptions): Promise<Handshake> {
  if (options.only === 'sse' || options.known === '2025-sse') return openLegacy(options, 'sse')
  const peer = await options.dial('plain')
  try {
    if (options.known === '2025') {
      const answer = await initialize(peer, options)
      if ('result' in answer) return await finishLegacy(peer, answer.result, '2025')
    } else {
      const found = await discover(peer, options)
      if (found === 'modern-later') return await openModern(options, peer)
      if (found && typeof found === 'object') return found
      if (found === undefined) return await legacyOn(peer, options)
    }
  } catch (error) {
    await peer.close()
    throw error
  }
  // The connection is gone or in an unknown state: try the remaining era on a new one.
  await peer.close()
  return options.known === '2025' ? shakeHands({ ...options, known: undefined }) : openLegacy(options, 'plain')
}

/**
 * @returns the handshake; undefined if `initialize` can be sent on this connection, `gone` if it cannot; `modern-later`
 *   if the upstream speaks 2026 but has already received `initialize` as well, so that a new connection is needed.
 */
async function discover(
  peer: Peer,
  options: HandshakeOptions,
): Promise<Handshake | 'gone' | 'modern-later' | undefined> {
  const asked = settle(peer.call('server/discover', { _meta: ourEnvelope() }, callOptions(options)))
  const known = options.known === '2026'
  const first = known ? await asked : await Promise.race([asked, Bun.sleep(PROBE_MS).then(() => 'silent' as const)])
  if (first !== 'silent') return judge(peer, first, options)
  if (options.transport === 'http') return undefined
  // No answer: the upstream ignores unknown methods, or is still starting. Send `initialize` without waiting further, so
  // that a slow start is waited for only once.
  const initialized = await settle(initialize(peer, options))
  const late = await Promise.race([asked, Promise.resolve('silent' as const)])
  const modern = late !== 'silent' && 'response' in late && isModern(late.response)
  if ('failure' in initialized) return 'gone'
  if (modern) return 'result' in initialized.response ? 'modern-later' : judge(peer, late, options)
  return 'result' in initialized.response ? finishLegacy(peer, initialized.response.result, '2025') : 'gone'
}

function judge(peer: Peer, answer: Settled, { transport, known }: HandshakeOptions): Handshake | 'gone' | undefined {
  if ('response' in answer) {
    if (isModern(answer.response)) return modernFrom(peer, answer.response.result)
    return undefined
  }
  const { failure } = answer
  if (transport === 'stdio') {
    if (failure.reason === 'start_failed' || failure.reason === 'busy' || failure.reason === 'too_large')
      throw new UpstreamFailure(failure)
    return 'gone'
  }
  // Rejected credentials, a server error or no connection say nothing about the era.
  const evidence =
    failure.status !== undefined ? failure.status >= 400 && failure.status < 500 : !NO_EVIDENCE.has(failure.reason)
  if (failure.reason === 'refused' || !evidence || (known === '2026' && failure.reason === 'timeout'))
    throw new UpstreamFailure(failure)
  return undefined
}

const NO_EVIDENCE: ReadonlySet<string> = new Set(['unreachable', 'too_large', 'busy', 'cancelled'])

async function openModern(options: HandshakeOptions, muddied: Peer): Promise<Handshake> {
  await muddied.close()
  const peer = await options.dial('plain')
  const answer = await settle(peer.call('server/discover', { _meta: ourEnvelope() }, callOptions(options)))
  if ('response' in answer && isModern(answer.response)) return modernFrom(peer, answer.response.result)
  await peer.close()
  throw 'failure' in answer
    ? new UpstreamFailure(answer.failure)
    : fail('protocol', 'server/discover was answered once but not again')
}

async function openLegacy(options: HandshakeOptions, kind: 'plain' | 'sse'): Promise<Handshake> {
  const peer = await options.dial(kind)
  try {
    return await legacyOn(peer, options, kind)
  } catch (error) {
    await peer.close()
    throw error
  }
}

async function legacyOn(peer: Peer, options: HandshakeOptions, kind: 'plain' | 'sse' = 'plain'): Promise<Handshake> {
  const answer = await settle(initialize(peer, options))
  if ('failure' in answer) {
    // 2025-11-25, "Backwards Compatibility": a server that rejects the POST may speak the older transport.
    const older = [400, 404, 405].includes(answer.failure.status ?? 0)
    if (kind === 'sse' || !older || options.transport === 'stdio' || options.only)
      throw new UpstreamFailure(answer.failure)
    await peer.close()
    return openLegacy(options, 'sse')
  }
  if ('error' in answer.response) {
    const { code, message } = answer.response.error
    throw fail('protocol', `initialize was refused: ${code} ${message.slice(0, 300)}`)
  }
  return finishLegacy(peer, answer.response.result, kind === 'sse' ? '2025-sse' : '2025')
}

async function initialize(peer: Peer, options: HandshakeOptions): Promise<{ response: RpcResponse } & RpcResponse> {
  const params = { protocolVersion: LEGACY, capabilities: options.capabilities, clientInfo: OUR_CLIENT_INFO }
  const { response } = await peer.call('initialize', params, callOptions(options))
  return { response, ...response }
}

async function finishLegacy(peer: Peer, result: Record<string, unknown>, speaks: Speaks): Promise<Handshake> {
  const { protocolVersion, capabilities, instructions, serverInfo } = result
  if (typeof protocolVersion !== 'string' || !LEGACY_REVISIONS.has(protocolVersion))
    throw fail('protocol', 'initialize was answered with an unknown revision')
  await peer.notify('notifications/initialized')
  return {
    peer,
    speaks,
    era: '2025',
    revision: protocolVersion,
    server: describe(capabilities, instructions, serverInfo),
  }
}

function modernFrom(peer: Peer, result: Record<string, unknown>): Handshake {
  const server = describe(result.capabilities, result.instructions, metaOf(result)?.[SERVER_INFO])
  return { peer, speaks: '2026', era: '2026', revision: MODERN, server }
}

function describe(capabilities: unknown, instructions: unknown, serverInfo: unknown): ServerDescription {
  return {
    capabilities: isObject(capabilities) ? capabilities : {},
    ...(typeof instructions === 'string' ? { instructions } : {}),
    ...(isObject(serverInfo) ? { serverInfo } : {}),
  }
}

function isModern(response: RpcResponse): response is RpcResponse & { result: Record<string, unknown> } {
  if (!('result' in response)) return false
  const { supportedVersions } = response.result
  return Array.isArray(supportedVersions) && supportedVersions.includes(MODERN)
}

/** `_meta` for our own requests to a 2026 upstream. */
export function ourEnvelope(): Record<string, unknown> {
  return { [PROTOCOL_VERSION]: MODERN, [CLIENT_INFO]: OUR_CLIENT_INFO, [CLIENT_CAPABILITIES]: {} }
}

const callOptions = ({ startTimeout }: HandshakeOptions): CallOptions => ({
  timeout: startTimeout,
  maxTimeout: startTimeout,
  cancelByClosing: true,
})

type Settled = { response: RpcResponse } | { failure: UpstreamFailure['failure'] }

async function settle(call: Promise<{ response: RpcResponse }>): Promise<Settled> {
  try {
    return { response: (await call).response }
  } catch (error) {
    if (error instanceof UpstreamFailure) return { failure: error.failure }
    throw error
  }
}
