/** An upstream's answer to a call, as the client of either era gets it. */
import type { Course } from './course.ts'
import { declares, errorFor, MAY_ASK, neededFor, resultFor } from './eras.ts'
import type { Link } from './link.ts'
import { kindOfMethod, LISTS } from './lists.ts'
import {
  INTERNAL_ERROR,
  INVALID_PARAMS,
  isObject,
  MISSING_CLIENT_CAPABILITY,
  RpcError,
  type RpcResponse,
  UNSUPPORTED_VERSION,
  URL_ELICITATION_REQUIRED,
} from './messages.ts'
import { targetOf } from './names.ts'
import { isQuestion, urlQuestions } from './questions.ts'

/** A result of ours in place of the upstream's. */
export function answerOfOurs(
  { exchange }: Course,
  link: Link,
  result: Record<string, unknown>,
): Record<string, unknown> {
  if (exchange.method !== 'tools/call') throw new RpcError(INVALID_PARAMS, 'The user did not open the page')
  return resultFor(
    exchange.era,
    link.era,
    exchange.method,
    result,
    { sharable: false, ttlMs: 0 },
    link.server.serverInfo,
  )
}

const LIST_TTL_MS = 60_000

/** Whether an upstream tells of changes of the list that a method gives. */
function tellsOf(method: string, link: Link): boolean {
  const kind = kindOfMethod(method)
  const offers = kind && link.server.capabilities[LISTS[kind].capability]
  return isObject(offers) && offers.listChanged === true
}

/** The upstream's answer as the client gets it. @throws RpcError of the upstream's protocol errors. */
export function answered(
  { exchange, upstream, params }: Course,
  link: Link,
  response: RpcResponse,
  capabilities: Record<string, unknown>,
): Record<string, unknown> {
  const { method, era } = exchange
  if ('result' in response) {
    if (response.result.resultType === 'input_required')
      refuseQuestions(response.result, exchange.capabilities, capabilities)
    const cache = { sharable: upstream.sharable, ttlMs: tellsOf(method, link) ? LIST_TTL_MS : 0 }
    return resultFor(era, link.era, method, response.result, cache, link.server.serverInfo)
  }
  const { error } = response
  if (error.code === UNSUPPORTED_VERSION) link.retire(upstream.config.timeout)
  if (era === '2026' && error.code === URL_ELICITATION_REQUIRED) {
    const inputRequests = urlQuestions(error.data)
    if (!inputRequests || !MAY_ASK.has(method))
      throw new RpcError(INTERNAL_ERROR, 'The server asks for pages it does not name')
    const requiredCapabilities = { elicitation: { url: {} } }
    if (!declares(exchange.capabilities, requiredCapabilities))
      throw new RpcError(
        MISSING_CLIENT_CAPABILITY,
        'The server needs a page to be opened',
        { requiredCapabilities },
        400,
      )
    return { resultType: 'input_required', inputRequests }
  }
  if (era === '2025' && error.code === MISSING_CLIENT_CAPABILITY && method === 'tools/call')
    return {
      content: [{ type: 'text', text: `This tool needs a client that offers ${missing(error.data)}.` }],
      isError: true,
    }
  throw errorFor(era, method, error, targetOf(method, params))
}

/** A client of 2026 is asked only what it declared and what we carry. @throws RpcError */
function refuseQuestions(
  { inputRequests }: Record<string, unknown>,
  declared: Record<string, unknown>,
  carried: Record<string, unknown>,
): void {
  for (const question of isObject(inputRequests) ? Object.values(inputRequests) : []) {
    const requiredCapabilities = isQuestion(question) ? neededFor(question) : undefined
    if (requiredCapabilities && declares(carried, requiredCapabilities)) continue
    if (requiredCapabilities && !declares(declared, requiredCapabilities))
      throw new RpcError(MISSING_CLIENT_CAPABILITY, NEEDS, { requiredCapabilities }, 400)
    throw new RpcError(INTERNAL_ERROR, 'The server asks the client for something that is not carried')
  }
}

const NEEDS = 'The server needs a capability that the client did not declare'

function missing(data: unknown): string {
  const required = isObject(data) && isObject(data.requiredCapabilities) ? Object.keys(data.requiredCapabilities) : []
  return required.filter(name => /^[a-z]{1,20}$/i.test(name)).join(' and ') || 'more than yours'
}
