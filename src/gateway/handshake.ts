/**
 * How a connection begins: `server/discover` (2026-07-28) or `initialize` (2025-11-25 and before), whichever the upstream
 * speaks; the newer one if it speaks both. What was found out is remembered by the caller.
 */
import packageJson from '../../package.json' with { type: 'json' }
import { fail, UpstreamFailure } from './connection.ts'
import { isObject, type RpcResponse } from './messages.ts'
import {
  CLIENT_CAPABILITIES,
  CLIENT_INFO,
  LEGACY,
  LEGACY_REVISIONS,
  MODERN,
  metaOf,
  PROTOCOL_VERSION,
  SERVER_INFO,
} from './names.ts'
import type { CallOptions, Peer } from './peer.ts'

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
  /** Connects anew each time: another process, another session. */
  dial(kind: 'plain' | 'sse'): Promise<Peer>
  transport: 'stdio' | 'http'
  /** Only these may be tried; absent: any. */
  only?: 'streamable-http' | 'sse'
  known?: Speaks
  /** Milliseconds until the first answer. */
  startTimeout: number
  /** What we can carry, for a server that asks once. */
  capabilities: Record<string, unknown>
}

export const OUR_CLIENT_INFO = { name: packageJson.name, version: packageJson.version }
/** A server that is up answers a question it does not understand, if it answers it at all, in this time. */
const PROBE_MS = 5_000

/** @throws UpstreamFailure if the upstream does not start, or speaks neither. */
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
  // It has gone, or is in a state that nobody knows: begin again with what is left.
  await peer.close()
  return options.known === '2025' ? shakeHands({ ...options, known: undefined }) : openLegacy(options, 'plain')
}

/**
 * @returns what was shaken, nothing if the connection may go on with `initialize`, `gone` if it may not, and
 *   `modern-later` if the upstream speaks 2026 but has by now heard `initialize`, too.
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
  // Silence: it does not answer such questions, or has not started yet. The next question is put behind the first, so
  // that a slow start is waited for once.
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
  // A refused credential, a broken server or nobody at all say nothing about the era.
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
    : fail('protocol', 'server/discover was not answered again')
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
    // 2025-11-25, "Backwards Compatibility": a server that does not take the POST may have the older transport.
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
    throw fail('protocol', 'initialize was answered with a revision that is not known')
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

/** `_meta` of a request of our own to an upstream of 2026. */
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
