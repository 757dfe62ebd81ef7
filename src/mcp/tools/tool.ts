/** The type of a built-in tool. */
import type { z } from 'zod'
import type { Gateway } from '../../gateway/exchange.ts'
import type { StopSignal } from '../../lib/stop.ts'
import type { OAuthDeps } from '../../oauth/deps.ts'
import type { Caller } from '../caller.ts'

export interface ToolDeps extends OAuthDeps {
  /** Absent if no upstream servers are configured. */
  gateway?: Gateway | undefined
}

/** A built-in tool. */
export interface Tool {
  name: string
  title: string
  description: string
  input: z.ZodObject
  output: z.ZodObject
  annotations: { readOnlyHint: boolean; destructiveHint: boolean; idempotentHint: boolean; openWorldHint: boolean }
  /** The scopes that it needs besides `mcp:tools:call`. */
  scopes: readonly string[]
  /** Whether it needs a user; then machines do not see it. */
  forUsers: boolean
  /** Maximum number of calls of it that one person may have in progress, if below the limit for all tools. */
  atOnce?: number
  /** @returns the structured content, of the shape of `output`; a promise only if the tool has to wait. */
  call(
    deps: ToolDeps,
    caller: Caller,
    input: Record<string, unknown>,
    context: CallContext,
  ): Record<string, unknown> | Promise<Record<string, unknown>>
}

/** Cancellation and progress of a call. */
export interface CallContext {
  /** Aborted when the caller cancels. */
  signal?: StopSignal | undefined
  /** Reports progress; absent if the caller did not request it. @param progress An increasing number. */
  report?: ((progress: number, message: string) => void) | undefined
}

export const READ_ONLY = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false }
