/** Looks up the target of each message of a request before anything runs, so that missing scopes are reported first. */
import { METHOD_NOT_FOUND, type Message, RpcError } from '../gateway/messages.ts'
import { TASK_METHODS } from '../gateway/protocol.ts'
import { after } from '../lib/after.ts'
import { allows } from '../oauth/scopes.ts'
import type { Caller } from './caller.ts'
import { type Catalogue, methodMissing, type Target } from './catalogue.ts'
import { METHODS, scopeOf } from './methods.ts'
import { toMessage } from './transport/messages.ts'

export type Era = '2025' | '2026'

/** A message and its target. */
export interface Prepared {
  message: Message
  /** Only for requests about tools, prompts and resources; modern.ts and conversation.ts handle the others. */
  target?: Target
  /** Why there is no target. */
  problem?: RpcError
}

/** Requests about the connection rather than the catalogue, by era. */
const OF_THE_PROTOCOL: Readonly<Record<Era, ReadonlySet<string>>> = {
  '2025': new Set(['initialize', 'ping']),
  '2026': new Set(['server/discover', 'subscriptions/listen']),
}
/** Requests of the other era: 2026-07-28 removed some together with sessions, and has tasks of its own. */
const NOT_IN: Readonly<Record<Era, ReadonlySet<string>>> = {
  '2025': TASK_METHODS,
  '2026': new Set(['logging/setLevel', 'resources/subscribe', 'resources/unsubscribe']),
}

/**
 * Looks up the target of each message.
 *
 * @param items Parsed JSON as sent; an item that is not a message becomes undefined.
 * @returns also all scopes that the messages need, if the caller lacks any of them; a promise only if an upstream server
 *   has to be asked.
 */
export function prepare(
  catalogue: Catalogue,
  endpoint: string | undefined,
  caller: Caller,
  era: Era,
  items: readonly unknown[],
): AllPrepared | Promise<AllPrepared> {
  const judge = (prepared: (Prepared | undefined)[], needed: readonly string[]) => {
    for (const scope of needed) if (!allows(caller.scope, scope)) return { prepared, missing: [...new Set(needed)] }
    return { prepared, missing: [] }
  }
  if (items.length === 1) {
    const found = prepareOne(catalogue, endpoint, caller, era, toMessage(items[0]))
    return after(found, ({ prepared, scopes }) => judge([prepared], scopes))
  }
  return Promise.all(items.map(item => prepareOne(catalogue, endpoint, caller, era, toMessage(item)))).then(found =>
    judge(
      found.map(({ prepared }) => prepared),
      found.flatMap(({ scopes }) => scopes),
    ),
  )
}

export interface AllPrepared {
  prepared: (Prepared | undefined)[]
  missing: string[]
}

interface Found {
  prepared: Prepared | undefined
  scopes: readonly string[]
}

function prepareOne(
  catalogue: Catalogue,
  endpoint: string | undefined,
  caller: Caller,
  era: Era,
  message: Message | undefined,
): Found | Promise<Found> {
  if (!message || !('method' in message)) return { prepared: message && { message }, scopes: [] }
  const { method, params = {} } = message
  if (NOT_IN[era].has(method)) return { prepared: { message, problem: methodMissing() }, scopes: [] }
  const least = METHODS.has(method) ? scopeOf(method, params) : undefined
  const scopes = least === undefined ? [] : [least]
  // Sent as a notification it does nothing, but still needs its scope.
  if (!('id' in message)) return { prepared: { message }, scopes }
  if (OF_THE_PROTOCOL[era].has(method)) return { prepared: { message }, scopes: [] }
  const accept = (target: Target) => ({ prepared: { message, target }, scopes: target.scopes })
  const refuse = (problem: unknown) => {
    if (!(problem instanceof RpcError)) throw problem
    return { prepared: { message, problem }, scopes: problem.rpcCode === METHOD_NOT_FOUND ? [] : scopes }
  }
  try {
    const target = catalogue.find(endpoint, caller, method, params)
    return target instanceof Promise ? target.then(accept, refuse) : accept(target)
  } catch (problem) {
    return refuse(problem)
  }
}
