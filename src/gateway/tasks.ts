/** Tasks of 2026-07-28: clients know them by ids of ours. */
import type { CallsDeps } from './call-state.ts'
import type { Exchange } from './exchange.ts'
import { TASK_METHODS } from './protocol.ts'
import type { Upstream } from './upstream.ts'

type Json = Record<string, unknown>

/** @returns the params of a request for the upstream: with its own id, if they name a task. @throws RpcError */
export function withOwnTask({ taskIds }: CallsDeps, { config }: Upstream, exchange: Exchange, params: Json): Json {
  const { caller, method } = exchange
  return TASK_METHODS.has(method) ? { ...params, taskId: taskIds.own(config.name, caller, params.taskId) } : params
}

/** Gives a task in a result the id that its client knows. */
export function withClientTask({ taskIds }: CallsDeps, { config }: Upstream, exchange: Exchange, result: Json): Json {
  const { caller, method } = exchange
  if (typeof result.taskId === 'string' && (result.resultType === 'task' || TASK_METHODS.has(method)))
    result.taskId = taskIds.forClient(config.name, caller, result.taskId)
  return result
}
