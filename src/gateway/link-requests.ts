/** Calls of people who have linked no account at an upstream that wants one: they are told where to do that. */
import { type CallsDeps, type Course, done } from './course.ts'
import { resultFor } from './eras.ts'
import { isConnect } from './linkable.ts'
import { INVALID_REQUEST, RpcError } from './messages.ts'

/** @returns nothing if the call may go on. */
export async function answerAboutAccount(
  deps: CallsDeps,
  course: Course,
): Promise<Record<string, unknown> | undefined> {
  const { upstream, exchange, params } = course
  const { account, config } = upstream
  if (!account) return undefined
  const isAboutLinking = exchange.method === 'tools/call' && isConnect(upstream, params.name)
  if (!(await account.isLinked(exchange.caller))) return askToLink(deps, course)
  if (!isAboutLinking || upstream.listNow('tools', exchange.caller)?.has(String(params.name))) return undefined
  return done(deps, course, textResult(course, `Your account at ${config.name} is linked.`, false))
}

/** The answer to a call that needs an account which is not linked (any more). */
export function askToLink(deps: CallsDeps, course: Course): Record<string, unknown> {
  const { upstream, exchange, params } = course
  const { name } = upstream.config
  const url = upstream.account!.linkUrl(exchange.caller)
  const words = `This needs your account at ${name}, which is not linked to this server yet. Open ${url} in a browser to link it, then try again.`
  if (exchange.method !== 'tools/call') throw new RpcError(INVALID_REQUEST, words, { url })
  return done(deps, course, textResult(course, words, !isConnect(upstream, params.name)))
}

function textResult({ exchange }: Course, text: string, isError: boolean): Record<string, unknown> {
  const result = { content: [{ type: 'text', text }], ...(isError ? { isError } : {}) }
  return resultFor(exchange.era, '2025', exchange.method, result, { sharable: false, ttlMs: 0 }, undefined)
}
