/** Turns an upstream's answer to a call into the answer for a client of either era. */
import { noteElicitation } from './asking.ts'
import type { CallsDeps, Course } from './call-state.ts'
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
import { targetOf } from './protocol.ts'
import { isQuestion, urlQuestions } from './questions.ts'
import { bindingOf } from './request-state.ts'

/** Our own result, in place of the upstream's. */
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
/** How many pages of one error are noted. */
const MOST_PAGES = 16

/** Whether an upstream announces changes of the list that a method returns. */
function announcesChanges(method: string, link: Link): boolean {
  const kind = kindOfMethod(method)
  const offers = kind && link.server.capabilities[LISTS[kind].capability]
  return isObject(offers) && offers.listChanged === true
}

/** The upstream's answer, converted for the client. @throws RpcError for the upstream's protocol errors. */
export function answered(
  deps: CallsDeps,
  course: Course,
  link: Link,
  response: RpcResponse,
  capabilities: Record<string, unknown>,
): Record<string, unknown> {
  const { exchange, upstream, params } = course
  const { method, era } = exchange
  if ('result' in response) {
    if (response.result.resultType === 'input_required')
      refuseQuestions(response.result, exchange.capabilities, capabilities)
    const kind = kindOfMethod(method)
    const items = kind && response.result[kind]
    // Pages beyond the limit are ignored.
    if (Array.isArray(items)) response.result[kind!] = items.slice(0, upstream.config.maxTools)
    const cache = { sharable: upstream.sharable, ttlMs: announcesChanges(method, link) ? LIST_TTL_MS : 0 }
    return resultFor(era, link.era, method, response.result, cache, link.server.serverInfo)
  }
  const { error } = response
  if (error.code === UNSUPPORTED_VERSION) link.retire(upstream.config.timeout)
  if (era === '2026' && error.code === URL_ELICITATION_REQUIRED) {
    const inputRequests = urlQuestions(error.data)
    if (!inputRequests || !MAY_ASK.has(method))
      throw new RpcError(INTERNAL_ERROR, 'The server wants pages opened but does not name them')
    const requiredCapabilities = { elicitation: { url: {} } }
    if (!declares(exchange.capabilities, requiredCapabilities))
      throw new RpcError(
        MISSING_CLIENT_CAPABILITY,
        'The server needs the user to open a page',
        { requiredCapabilities },
        400,
      )
    const binding = bindingOf(upstream.config.name, exchange, params)
    const requestState = deps.states.seal(binding, { pages: Object.keys(inputRequests) })
    return { resultType: 'input_required', inputRequests, requestState }
  }
  if (error.code === URL_ELICITATION_REQUIRED && isObject(error.data) && Array.isArray(error.data.elicitations))
    for (const asked of error.data.elicitations.slice(0, MOST_PAGES)) noteElicitation(deps, course, asked)
  if (era === '2025' && error.code === MISSING_CLIENT_CAPABILITY && method === 'tools/call')
    return {
      content: [{ type: 'text', text: `This tool needs a client that supports ${missing(error.data)}.` }],
      isError: true,
    }
  throw errorFor(era, method, error, targetOf(method, params))
}

/** Rejects questions that the 2026 client did not declare support for, or that the gateway does not pass on. @throws RpcError */
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
    throw new RpcError(INTERNAL_ERROR, 'The server asked the client for something that the gateway does not pass on')
  }
}

const NEEDS = 'The server needs a capability that the client did not declare'

function missing(data: unknown): string {
  const required = isObject(data) && isObject(data.requiredCapabilities) ? Object.keys(data.requiredCapabilities) : []
  return required.filter(name => /^[a-z]{1,20}$/i.test(name)).join(' and ') || 'more capabilities'
}
