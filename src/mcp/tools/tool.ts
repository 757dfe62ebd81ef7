/** What one of our own tools is. */
import type { z } from 'zod'
import type { Gateway } from '../../gateway/exchange.ts'
import type { OAuthDeps } from '../../oauth/deps.ts'
import type { Caller } from '../access.ts'

export interface ToolDeps extends OAuthDeps {
  /** Absent where no upstream servers are configured. */
  gateway?: Gateway | undefined
}

/** One of our own tools, as it stands in the catalogue. */
export interface Tool {
  name: string
  title: string
  description: string
  input: z.ZodObject
  output: z.ZodObject
  annotations: { readOnlyHint: boolean; destructiveHint: boolean; idempotentHint: boolean; openWorldHint: boolean }
  /** The scopes that it needs besides the one that calling any tool needs. */
  scopes: readonly string[]
  /** Whether it is about a user, so that a machine has no use for it. */
  forUsers: boolean
  /** How many calls of it one person may have in progress, if fewer than of all tools together. */
  atOnce?: number
  /** @returns the structured content, of the shape of `output`. */
  call(
    deps: ToolDeps,
    caller: Caller,
    input: Record<string, unknown>,
    context: CallContext,
  ): Promise<Record<string, unknown>>
}

/** What a call can tell its caller while it runs, and hear from it. */
export interface CallContext {
  /** Aborted when the caller does not want the result any more. */
  signal?: AbortSignal | undefined
  /** Absent if the caller did not ask to be told. @param progress A number that only grows. */
  report?: ((progress: number, message: string) => void) | undefined
}

export const READ_ONLY = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false }
