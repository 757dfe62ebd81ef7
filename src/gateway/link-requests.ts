/**
 * Answers calls of users who have not linked an account at an upstream that requires one, or have granted too little: the
 * client is asked to open the page for linking (URL elicitation), or gets its address as text.
 */
import { randomUUID } from 'node:crypto'
import { type CallsDeps, type Course, done } from './call-state.ts'
import { fail } from './connection.ts'
import type { AccountAt } from './credential.ts'
import { declares, MAY_ASK, resultFor } from './eras.ts'
import type { Exchange } from './exchange.ts'
import { isConnect } from './linkable.ts'
import { INVALID_REQUEST, isObject, RpcError, URL_ELICITATION_REQUIRED } from './messages.ts'

type Json = Record<string, unknown>

/** The key of our question among `inputRequests`. */
const KEY = 'mcp-oauth-server/link'
/** How long a retry waits for the user; SDK clients time out after 60 s. */
const WAIT_MS = 45_000
const URL_MODE = { elicitation: { url: {} } }
const URL_MODE_SINCE = '2025-11-25'

/** Answers a call that requires linking. @returns undefined if it can proceed to the upstream, with `course.params`. */
export async function answerAboutAccount(
  deps: CallsDeps,
  course: Course,
  account: AccountAt,
): Promise<Json | undefined> {
  const { upstream, exchange } = course
  const { config } = upstream
  const answer = takeAnswer(course)
  if (answer !== undefined && answer !== 'accept') return done(deps, course, text(course, NOT_OPENED, true))
  const isLinked =
    answer === 'accept'
      ? await account.waitUntilLinked(exchange.caller, WAIT_MS, exchange.signal)
      : await account.isLinked(exchange.caller)
  if (!isLinked) {
    if (answer === undefined) return askToLink(deps, course, 'unlinked')
    const url = account.linkUrl(exchange.caller)
    return done(
      deps,
      course,
      text(
        course,
        `Your account at ${config.name} is not linked yet. Open ${url} in a browser to link it, then try again.`,
        true,
      ),
    )
  }
  const { name } = course.params
  const isAboutLinking = exchange.method === 'tools/call' && isConnect(upstream, name)
  if (!isAboutLinking || upstream.listNow('tools', exchange.caller)?.has(String(name))) return undefined
  return done(deps, course, text(course, `Your account at ${config.name} is linked.`, false))
}

const NOT_OPENED = 'The user did not open the page.'

/** Removes the answer to our question from a retry, so that the upstream does not see it. @returns its action. */
function takeAnswer(course: Course): unknown {
  const { inputResponses, ...rest } = course.params
  if (!isObject(inputResponses) || !Object.hasOwn(inputResponses, KEY)) return undefined
  const { [KEY]: mine, ...others } = inputResponses
  course.params = Object.keys(others).length > 0 ? { ...rest, inputResponses: others } : rest
  return isObject(mine) ? mine.action : 'cancel'
}

/** @param why No account is linked, or the upstream needs more scopes than were granted. */
export function askToLink(deps: CallsDeps, course: Course, why: 'unlinked' | 'more_scope'): Json {
  const { upstream, exchange } = course
  const { name } = upstream.config
  if (!exchange.caller.user) throw fail('for_people', 'a machine has no account there')
  const url = upstream.account!.linkUrl(exchange.caller)
  const need =
    why === 'unlinked'
      ? `This requires your account at ${name}, which is not linked to this server yet.`
      : `This requires more access to your account at ${name} than you have granted.`
  if (canOpenPages(exchange)) {
    const message = `${need} Link it in your browser to continue.`
    if (exchange.era === '2026') {
      const question = { method: 'elicitation/create', params: { mode: 'url', message, url } }
      return done(deps, course, { resultType: 'input_required', inputRequests: { [KEY]: question } })
    }
    const elicitationId = randomUUID()
    deps.onElicitation({ elicitationId, upstream: name, caller: exchange.caller }, 'us')
    throw new RpcError(URL_ELICITATION_REQUIRED, need, { elicitations: [{ mode: 'url', elicitationId, url, message }] })
  }
  const words = `${need} Open ${url} in a browser to link it, then try again.`
  if (exchange.method !== 'tools/call') throw new RpcError(INVALID_REQUEST, words, { url })
  return done(deps, course, text(course, words, !isConnect(upstream, course.params.name)))
}

function canOpenPages({ era, revision, method, capabilities }: Exchange): boolean {
  return MAY_ASK.has(method) && declares(capabilities, URL_MODE) && (era === '2026' || revision >= URL_MODE_SINCE)
}

function text({ exchange }: Course, words: string, isError: boolean): Json {
  const result = { content: [{ type: 'text', text: words }], ...(isError ? { isError } : {}) }
  return resultFor(exchange.era, '2025', exchange.method, result, { sharable: false, ttlMs: 0 }, undefined)
}
