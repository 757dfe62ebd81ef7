/** Calls that may become tasks, and requests about them, with the client's task ids. */
import type { CallsDeps } from './call-state.ts'
import { performCall } from './calls.ts'
import type { Exchange } from './exchange.ts'
import { TASK_METHODS } from './protocol.ts'
import type { Upstream } from './upstream.ts'

/** As {@link performCall}. */
export async function perform(
  deps: CallsDeps,
  upstream: Upstream,
  exchange: Exchange,
  params: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const { name } = upstream.config
  const { caller, method } = exchange
  const isAboutTask = TASK_METHODS.has(method)
  const sent = isAboutTask ? { ...params, taskId: deps.taskIds.own(name, caller, params.taskId) } : params
  const result = await performCall(deps, upstream, exchange, sent)
  if (typeof result.taskId === 'string' && (isAboutTask || result.resultType === 'task'))
    result.taskId = deps.taskIds.forClient(name, caller, result.taskId)
  return result
}
