/**
 * Detects the era of a request, and validates the envelope of 2026-07-28: version, client and capabilities in `_meta`,
 * and the headers that must repeat parts of the body (Streamable HTTP, "Request Metadata").
 */
import { logLevelOf } from '../gateway/eras.ts'
import {
  HEADER_MISMATCH,
  INVALID_PARAMS,
  INVALID_REQUEST,
  isObject,
  RpcError,
  UNSUPPORTED_VERSION,
} from '../gateway/messages.ts'
import { decodeHeaderValue } from '../gateway/param-headers.ts'
import {
  CLIENT_CAPABILITIES,
  CLIENT_INFO,
  LOG_LEVEL,
  MODERN,
  metaOf,
  PROTOCOL_VERSION,
  targetOf,
} from '../gateway/protocol.ts'
import { UNKNOWN_CLIENT } from './identity.ts'
import { headerOf } from './transport/messages.ts'

type Json = Record<string, unknown>

/** The revisions that need no handshake. */
export const MODERN_VERSIONS = [MODERN]

/** The envelope of a valid 2026-07-28 request. */
export interface Envelope {
  clientInfo: Json
  capabilities: Json
}

/** Revisions are dates: any later one belongs to the modern era, even if unknown. */
const isModern = (version: unknown): version is string => typeof version === 'string' && version >= MODERN

const CAPABILITIES = ['elicitation', 'sampling', 'roots', 'experimental', 'extensions'] as const

const refused = (code: number, message: string, data?: unknown) => new RpcError(code, message, data, 400)
const mismatch = (message: string) => refused(HEADER_MISMATCH, message)

const claims = (item: unknown) =>
  isObject(item) && isObject(item.params) && (metaOf(item.params)?.[PROTOCOL_VERSION] ?? undefined) !== undefined

/**
 * Reads the envelope; the body takes precedence over the headers.
 *
 * @param body The parsed JSON of a POST.
 * @returns undefined for a message of the earlier revisions.
 * @throws RpcError, HTTP 400, if it belongs to this era and is invalid.
 */
export function readEnvelope(headers: Headers, body: object): Envelope | undefined {
  if (Array.isArray(body)) {
    if (body.some(claims)) throw refused(INVALID_REQUEST, `A message of ${MODERN} must come alone`)
    return undefined
  }
  const { method, params, id } = body as Json
  if (typeof method !== 'string') return undefined
  const version = headerOf(headers, 'mcp-protocol-version')
  if (version?.includes(',')) throw refused(INVALID_REQUEST, 'The headers MCP-Protocol-Version name different versions')
  const meta = metaOf(isObject(params) ? params : undefined)
  const isClaimed = claims(body)
  const isRequest = id !== undefined && id !== null
  if (method === 'initialize' && !(isClaimed && isModern(meta![PROTOCOL_VERSION]) && !problemOf(meta!))) {
    if (isModern(version)) throw mismatch('initialize does not exist in the revision that the header names')
    return undefined
  }
  if (!isClaimed) {
    if (!isModern(version)) return undefined
    if (isRequest) throw refused(INVALID_PARAMS, `params._meta must have ${PROTOCOL_VERSION}`)
  } else if (isRequest || typeof meta![PROTOCOL_VERSION] !== 'string') {
    const problem = problemOf(meta!)
    if (problem) throw refused(INVALID_PARAMS, problem)
  }
  requireSameHeaders(headers, method, isRequest, isClaimed ? String(meta![PROTOCOL_VERSION]) : version!)
  if (isRequest) requireName(headers, method, params as Json)
  const { [CLIENT_INFO]: clientInfo, [CLIENT_CAPABILITIES]: capabilities } = meta ?? {}
  return {
    clientInfo: isObject(clientInfo) ? clientInfo : UNKNOWN_CLIENT,
    capabilities: isObject(capabilities) ? capabilities : {},
  }
}

/** Finds a problem in the `_meta` of a request. */
function problemOf(meta: Json): string | undefined {
  const info = meta[CLIENT_INFO] ?? undefined
  const capabilities = meta[CLIENT_CAPABILITIES]
  const token = meta.progressToken ?? undefined
  const level = meta[LOG_LEVEL] ?? undefined
  if (typeof meta[PROTOCOL_VERSION] !== 'string') return `_meta: ${PROTOCOL_VERSION} must be a string`
  if (!isObject(capabilities)) return `_meta: ${CLIENT_CAPABILITIES} must be an object`
  const wrong = CAPABILITIES.find(name => !isObject(capabilities[name] ?? {}))
  if (wrong) return `_meta: the capability ${wrong} must be an object`
  if (info !== undefined && !(isObject(info) && typeof info.name === 'string' && typeof info.version === 'string'))
    return `_meta: ${CLIENT_INFO} must have a name and a version`
  if (token !== undefined && typeof token !== 'string' && !Number.isSafeInteger(token))
    return '_meta: progressToken must be a string or an integer'
  if (level !== undefined && logLevelOf(level) === undefined) return `_meta: ${LOG_LEVEL} must be a log level`
  return undefined
}

function requireSameHeaders(headers: Headers, method: string, isRequest: boolean, claimed: string): void {
  const version = headerOf(headers, 'mcp-protocol-version')
  const sent = headerOf(headers, 'mcp-method')
  if (version !== null && version !== claimed) throw mismatch('The header MCP-Protocol-Version does not match the body')
  if (sent !== null && sent !== method) throw mismatch('The header Mcp-Method does not match the body')
  if (!MODERN_VERSIONS.includes(claimed))
    throw refused(UNSUPPORTED_VERSION, 'Unsupported protocol version', {
      supported: MODERN_VERSIONS,
      requested: claimed.slice(0, 64),
    })
  if (!isRequest) return
  if (version === null) throw mismatch('The header MCP-Protocol-Version is missing')
  if (sent === null) throw mismatch('The header Mcp-Method is missing')
}

function requireName(headers: Headers, method: string, params: Json): void {
  const sent = headers.get('mcp-name')
  const name = targetOf(method, params)
  if (name === undefined) return
  if (sent === null) throw mismatch('The header Mcp-Name is missing')
  const decoded = decodeHeaderValue(sent)
  if (decoded === undefined) throw mismatch('The header Mcp-Name is not valid Base64')
  if (decoded !== name) throw mismatch('The header Mcp-Name does not match the body')
}

/** The `Mcp-Param-*` headers of a request, by lowercase name. */
export function paramHeadersOf(headers: Headers): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  headers.forEach((value, name) => {
    if (name.startsWith('mcp-param-')) found.set(name, value)
  })
  return found
}
