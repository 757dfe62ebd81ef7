/**
 * The built-in tools. A caller sees and calls only the tools that it may use, with limited concurrency, and every call is
 * recorded. Their JSON schemas are generated once, when this module loads.
 */
import { z } from 'zod'
import { record } from '../audit/events.ts'
import { INVALID_PARAMS, RpcError } from '../gateway/messages.ts'
import { after } from '../lib/after.ts'
import { AppError } from '../lib/errors.ts'
import type { Principal } from '../oauth/principal.ts'
import { allows } from '../oauth/scopes.ts'
import { type Caller, personOf } from './caller.ts'
import { openCounts } from './counts.ts'
import { TOOLS } from './tools/index.ts'
import type { CallContext, Tool, ToolDeps } from './tools/tool.ts'

/** Maximum number of calls of one person in progress, so that one person cannot occupy the database. */
const PER_PERSON = 128
/** Number of queued audit events, a quarter of the queue's capacity, from which on calls wait until they are written. */
const CROWDED = 5_000

type Json = Record<string, unknown>

const DESCRIBED: readonly { tool: Tool; description: Json }[] = TOOLS.map(tool => ({
  tool,
  description: {
    name: tool.name,
    title: tool.title,
    description: tool.description,
    inputSchema: z.toJSONSchema(tool.input, { io: 'input' }),
    outputSchema: z.toJSONSchema(tool.output, { io: 'output' }),
    annotations: { title: tool.title, ...tool.annotations },
  },
}))

/** Whether a principal may see and call a tool. */
function mayUse(principal: Principal, tool: Tool): boolean {
  if (tool.forUsers && principal.userId === null) return false
  for (const scope of tool.scopes) if (!allows(principal.scope, scope)) return false
  return true
}

/** Whether two principals see the same list of tools. */
export function seeSameTools(one: Principal, other: Principal): boolean {
  return one.tokenId === other.tokenId || TOOLS.every(tool => mayUse(one, tool) === mayUse(other, tool))
}

export interface OwnTools {
  find(name: unknown): Tool | undefined
  /** Tool definitions for `tools/list`. */
  list(principal: Principal): Json[]
  /**
   * Calls a tool and records the call, whatever the outcome. The agent sees only our own error texts.
   *
   * @param tool Undefined: there is no tool of that name, which is recorded as well.
   * @returns a promise only if the call has to wait.
   * @throws RpcError if the caller has no such tool. Invalid arguments and failures are results, so that the agent can
   *   read them and try again.
   */
  call(caller: Caller, tool: Tool | undefined, args: Json, context: CallContext): Json | Promise<Json>
}

export function openOwnTools(deps: ToolDeps): OwnTools {
  const inProgress = openCounts()

  function run(tool: Tool, caller: Caller, args: Json, context: CallContext): Json | Promise<Json> {
    const input = tool.input.safeParse(args)
    if (!input.success) return failure(`Invalid arguments: ${z.prettifyError(input.error)}`)
    const explain = (error: unknown) => {
      if (error instanceof AppError) return failure(`${error.title}. ${error.advice}`)
      if (context.signal?.aborted) return failure('The call was cancelled.')
      deps.log.error({ tool: tool.name, err: { message: (error as Error).message } }, 'a tool failed')
      return failure('The tool failed on the server; try again later.')
    }
    try {
      const content = tool.call(deps, caller, input.data, context)
      return content instanceof Promise ? content.then(success, explain) : success(content)
    } catch (error) {
      return explain(error)
    }
  }

  function log({ clientId, userId, grantId, ip }: Caller, tool: string, failed: boolean): void {
    record(deps, 'tool.called', { clientId, userId, grantId, ip, detail: { tool, failed } })
  }

  function judgeAndRun(caller: Caller, tool: Tool | undefined, args: Json, context: CallContext): Json | Promise<Json> {
    if (!tool || !mayUse(caller, tool)) {
      log(caller, tool?.name ?? 'unknown', true)
      throw new RpcError(INVALID_PARAMS, 'There is no such tool for this connection')
    }
    const finish = (result: Json) => {
      log(caller, tool.name, result.isError === true)
      return result
    }
    return after(run(tool, caller, args, context), finish)
  }

  return {
    find: name => TOOLS.find(tool => tool.name === name),
    list: principal => DESCRIBED.filter(({ tool }) => mayUse(principal, tool)).map(({ description }) => description),
    call(caller, tool, args, context) {
      const person = personOf(caller)
      const ofTool = tool?.atOnce === undefined ? undefined : `${person} ${tool.name}`
      if (inProgress.of(person) >= PER_PERSON) return busy(PER_PERSON)
      if (ofTool !== undefined && inProgress.of(ofTool) >= tool!.atOnce!) return busy(tool!.atOnce!)
      const judge = () => judgeAndRun(caller, tool, args, context)
      // Otherwise calls could fill the queue and displace other events.
      const result = deps.audit.waiting > CROWDED ? deps.audit.flush().then(judge) : judge()
      if (!(result instanceof Promise)) return result
      const keys = ofTool === undefined ? [person] : [person, ofTool]
      for (const key of keys) inProgress.add(key)
      return result.finally(() => {
        for (const key of keys) inProgress.remove(key)
      })
    },
  }
}

function success(structuredContent: Json): Json {
  return { content: [{ type: 'text', text: JSON.stringify(structuredContent) }], structuredContent }
}

const busy = (most: number) => failure(`${most} calls are already in progress; wait until some have finished.`)

function failure(text: string): Json {
  return { content: [{ type: 'text', text }], isError: true }
}
