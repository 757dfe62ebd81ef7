/**
 * Lists and calls tools for a caller, whatever the revision it speaks: only those that it may use, so many at a time,
 * and each call is recorded. The catalogue and its JSON schemas are made once, when this module loads.
 */
import {
  type CallToolResult,
  INVALID_PARAMS,
  ProtocolError,
  type Tool as ToolDescription,
} from '@modelcontextprotocol/server'
import { z } from 'zod'
import { record } from '../audit/events.ts'
import { AppError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { OAuthDeps } from '../oauth/deps.ts'
import { type Caller, mayUse, personOf } from './access.ts'
import { openCounts } from './counts.ts'
import { type CallContext, findTool, TOOLS, type Tool } from './tools/index.ts'

/** Calls of one person in progress. More of them would only make everybody wait for the database. */
const PER_PERSON = 128
/** Audit events that wait to be written, a quarter of what there is room for; from then on calls wait, too. */
const CROWDED = 5_000

const CATALOGUE: readonly { tool: Tool; description: ToolDescription }[] = TOOLS.map(tool => ({
  tool,
  description: {
    name: tool.name,
    title: tool.title,
    description: tool.description,
    inputSchema: jsonSchema(tool.input, 'input'),
    outputSchema: jsonSchema(tool.output, 'output'),
    annotations: { title: tool.title, ...tool.annotations },
  },
}))

function jsonSchema(schema: z.ZodObject, io: 'input' | 'output'): ToolDescription['inputSchema'] {
  return z.toJSONSchema(schema, { io }) as ToolDescription['inputSchema']
}

export interface Calls {
  log: Log
  list(caller: Caller): ToolDescription[]
  /**
   * Calls a tool and records it, however it ends. Only our own words reach the agent.
   *
   * @throws ProtocolError if there is no such tool for this caller; wrong arguments and failures are results, so that
   *   the agent can read them and try again.
   */
  call(
    caller: Caller,
    name: string,
    args: Record<string, unknown> | undefined,
    context: CallContext,
  ): Promise<CallToolResult>
}

export function openCalls(deps: OAuthDeps): Calls {
  const inProgress = openCounts()

  async function call(
    tool: Tool,
    caller: Caller,
    args: Record<string, unknown>,
    context: CallContext,
  ): Promise<CallToolResult> {
    const input = tool.input.safeParse(args)
    if (!input.success) return failure(`The arguments are not valid: ${z.prettifyError(input.error)}`)
    try {
      const structuredContent = await tool.call(deps, caller, input.data, context)
      return { content: [{ type: 'text', text: JSON.stringify(structuredContent) }], structuredContent }
    } catch (error) {
      if (error instanceof AppError) return failure(`${error.title}. ${error.advice}`)
      if (context.signal?.aborted) return failure('The call was cancelled.')
      deps.log.error({ tool: tool.name, err: { message: (error as Error).message } }, 'a tool failed')
      return failure('The tool failed on the server; try again later.')
    }
  }

  return {
    log: deps.log,
    list(caller) {
      return CATALOGUE.filter(({ tool }) => mayUse(caller, tool)).map(({ description }) => description)
    },
    async call(caller, name, args, context) {
      const { clientId, userId, grantId, ip } = caller
      const log = (tool: string, failed: boolean) =>
        record(deps, 'tool.called', { clientId, userId, grantId, ip, detail: { tool, failed } })
      const tool = findTool(name)
      const person = personOf(caller)
      const bounds = [
        [person, PER_PERSON],
        [`${person} ${tool?.name}`, tool?.atOnce ?? PER_PERSON],
      ] as const
      for (const [key, most] of bounds)
        if (inProgress.of(key) >= most) return failure(`${most} calls are in progress; wait until some have ended.`)
      for (const [key] of bounds) inProgress.add(key)
      try {
        // Calls are what could fill it, and then the events of others would have no room.
        if (deps.audit.waiting > CROWDED) await deps.audit.flush()
        if (!tool || !mayUse(caller, tool)) {
          log(tool?.name ?? 'unknown', true)
          throw new ProtocolError(INVALID_PARAMS, 'There is no such tool for this connection')
        }
        const result = await call(tool, caller, args ?? {}, context)
        log(tool.name, result.isError === true)
        return result
      } finally {
        for (const [key] of bounds) inProgress.remove(key)
      }
    },
  }
}

function failure(text: string): CallToolResult {
  return { content: [{ type: 'text', text }], isError: true }
}
