/**
 * Answers the requests that clients of 2026-07-28 send most, `tools/call` and the lists, without building a server for
 * each. It takes only what is plain, and decides nothing about the protocol: the SDK, which serves everything else, has
 * accepted the same envelope before, and a list is repeated as the SDK gave it to an equal caller.
 */
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  PROTOCOL_VERSION_META_KEY,
  SERVER_INFO_META_KEY,
} from '@modelcontextprotocol/server'
import { type Caller, mayUse } from './access.ts'
import type { Calls } from './calls.ts'
import { SERVER_INFO } from './server.ts'
import { findTool } from './tools/index.ts'

/** Clients differ in name, version and capabilities; each has one envelope, of a few hundred characters. */
const ENVELOPE_LIMIT = 1_000
const ENVELOPE_LENGTH = 4_096

/** Methods whose result depends on nothing but what the caller may use. */
const LISTS: ReadonlySet<string> = new Set(['server/discover', 'tools/list'])
const ENVELOPE_KEYS: ReadonlySet<string> = new Set([
  PROTOCOL_VERSION_META_KEY,
  CLIENT_INFO_META_KEY,
  CLIENT_CAPABILITIES_META_KEY,
])

/** A request without anything out of the ordinary, whose headers say what its body says. */
interface PlainRequest {
  id: string | number
  method: string
  /** The tool that it calls. */
  name?: string | undefined
  args?: Record<string, unknown> | undefined
  /** Its `_meta`: version, client and capabilities, and nothing else, so that nothing comes before the answer. */
  envelope: string
}

export interface Dispatcher {
  /** @returns nothing if the SDK must serve it. */
  answer(caller: Caller, request: Request, plain: PlainRequest): Promise<Response | undefined>
  /** Remembers how the SDK served a plain request. @returns the response to send on. */
  learn(caller: Caller, plain: PlainRequest, response: Response): Promise<Response>
}

export function openDispatcher(calls: Calls): Dispatcher {
  const accepted = new Set<string>()
  /** Results, in JSON, by method and by what its caller may use. */
  const results = new Map<string, string>()
  const keyOf = ({ method }: PlainRequest, { userId, scope }: Caller) =>
    `${method} ${userId === null} ${scope.toSorted().join(' ')}`

  return {
    async answer(caller, request, plain) {
      if (!accepted.has(plain.envelope)) return undefined
      if (LISTS.has(plain.method)) {
        const result = results.get(keyOf(plain, caller))
        return result === undefined ? undefined : answerWith(plain.id, result)
      }
      const tool = findTool(plain.name)
      if (!tool || !mayUse(caller, tool)) return undefined
      const result = await calls.call(caller, tool.name, plain.args, { signal: request.signal })
      const _meta = { [SERVER_INFO_META_KEY]: SERVER_INFO }
      return answerWith(plain.id, JSON.stringify({ ...result, resultType: 'complete', _meta }))
    },
    async learn(caller, plain, response) {
      if (response.status !== 200) return response
      if (accepted.size >= ENVELOPE_LIMIT) accepted.delete(accepted.values().next().value!)
      accepted.add(plain.envelope)
      if (!LISTS.has(plain.method)) return response
      const answer = (await response.json()) as { result?: unknown }
      if (answer.result) results.set(keyOf(plain, caller), JSON.stringify(answer.result))
      return Response.json(answer)
    },
  }
}

function answerWith(id: string | number, result: string): Response {
  return new Response(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}`, {
    headers: { 'Content-Type': 'application/json' },
  })
}

/** @returns nothing if there is anything about it that only the SDK should judge. */
export function plainRequest({ headers }: Request, message: object): PlainRequest | undefined {
  const { jsonrpc, id, method, params } = message as Record<string, unknown>
  if (jsonrpc !== '2.0' || !(typeof id === 'string' || Number.isSafeInteger(id))) return undefined
  if (typeof method !== 'string' || Object.keys(message).length !== 4 || !isObject(params)) return undefined
  const { _meta, name, arguments: args, ...rest } = params
  if (!isObject(_meta) || Object.keys(rest).length > 0) return undefined
  if (!Object.keys(_meta).every(key => ENVELOPE_KEYS.has(key))) return undefined
  if (headers.get('mcp-protocol-version') !== _meta[PROTOCOL_VERSION_META_KEY]) return undefined
  if (headers.get('mcp-method') !== method) return undefined
  const envelope = JSON.stringify(_meta)
  if (envelope.length > ENVELOPE_LENGTH) return undefined
  const plain = { id: id as string | number, method, envelope }
  if (LISTS.has(method)) return name === undefined && args === undefined ? plain : undefined
  if (method !== 'tools/call' || typeof name !== 'string' || headers.get('mcp-name') !== name) return undefined
  return args === undefined || isObject(args) ? { ...plain, name, args } : undefined
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
