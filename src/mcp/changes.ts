/** A 2025 client's subscriptions: changes of lists once it listens, and of the resources that it names. */
import type { Listening } from '../gateway/exchange.ts'
import { INVALID_PARAMS, RpcError, type RpcNotification } from '../gateway/messages.ts'
import type { Caller } from './caller.ts'
import type { Catalogue } from './catalogue.ts'

type Json = Record<string, unknown>

/** Who hears of changes. */
export interface Follower {
  readonly catalogue: Catalogue
  /** Undefined: the hub. */
  readonly endpoint: string | undefined
  readonly session?: string
  readonly hasEnded: boolean
  send(notification: RpcNotification): void
}

export interface Changes {
  begin(caller: Caller): void
  add(caller: Caller, uri: string): Promise<Json>
  remove(caller: Caller, uri: string): Promise<Json>
  end(): void
}

export function openChanges(follower: Follower): Changes {
  const { catalogue, endpoint, session, send } = follower
  const uris = new Set<string>()
  let listening: Promise<Listening> | undefined

  /** Subscribes with the current filter, replacing the previous subscription. */
  function listen(caller: Caller): Promise<Listening> {
    const before = listening
    let isCurrent = true
    const filter = {
      toolsListChanged: true,
      promptsListChanged: true,
      resourcesListChanged: true,
      ...(uris.size > 0 ? { resourceSubscriptions: [...uris] } : {}),
    }
    const next = catalogue
      .listen(endpoint, caller, filter, notification => isCurrent && send(notification), session)
      .then(({ granted, close }) => ({
        granted,
        close() {
          isCurrent = false
          close()
        },
      }))
    listening = next
    const replace = () =>
      before?.then(
        ({ close }) => close(),
        () => {},
      )
    next.then(replace, replace)
    next.then(
      ({ close }) => follower.hasEnded && close(),
      () => {
        if (listening === next) listening = undefined
      },
    )
    return next
  }

  return {
    begin(caller) {
      listening ??= listen(caller)
    },
    async add(caller, uri) {
      uris.add(uri)
      const { granted } = await listen(caller)
      if (granted.resourceSubscriptions?.includes(uri)) return {}
      uris.delete(uri)
      throw new RpcError(INVALID_PARAMS, 'This resource does not support subscriptions', { uri })
    },
    async remove(caller, uri) {
      if (uris.delete(uri)) await listen(caller)
      return {}
    },
    end() {
      void listening?.then(
        ({ close }) => close(),
        () => {},
      )
    },
  }
}
