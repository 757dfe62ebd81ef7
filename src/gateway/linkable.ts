/**
 * An upstream that requires users' own accounts, as seen by a user without one: it lists a single tool, which returns the
 * address of the page for linking, and no request is sent to it.
 */
import type { AccountAt } from './credential.ts'
import type { ServerDescription } from './era-detection.ts'
import type { GatewayCaller } from './exchange.ts'
import { nameInHub } from './hub-names.ts'
import type { Kind } from './lists.ts'
import type { Upstream } from './upstream.ts'
import type { Visible } from './visible.ts'

/** The tool's name without the upstream's prefix. */
const CONNECT = 'connect'

/** The tool's full name, the same at the upstream's endpoint and in the hub. */
export function connectNameOf(upstream: string): string {
  return nameInHub([{ upstream, name: CONNECT }])
    .keys()
    .next().value!
}

/** Whether a call is for that tool. */
export const isConnect = ({ account, config }: Upstream, name: unknown): boolean =>
  account !== undefined && (name === CONNECT || name === connectNameOf(config.name))

/** Capabilities are announced only once, so those that an account may add are announced in advance. */
const ANNOUNCED = { listChanged: true }

export function openLinkable(upstream: Upstream, account: AccountAt): Upstream {
  const { name } = upstream.config
  const unlinked: ServerDescription = {
    capabilities: { tools: ANNOUNCED, prompts: ANNOUNCED, resources: ANNOUNCED },
    instructions: `${name} requires the user's own account, which is not linked yet: call ${connectNameOf(name)}.`,
  }
  const tools: Visible = new Map([
    [
      CONNECT,
      {
        key: CONNECT,
        item: {
          name: connectNameOf(name),
          title: `Link your account at ${name}`,
          description: `Returns the address of a page where the user links their account at ${name}; the tools of ${name} become available afterwards. Use it when the user wants to use ${name}, and ask them to open the page in a browser.`,
          inputSchema: { type: 'object', properties: {} },
          annotations: { readOnlyHint: true, openWorldHint: true },
        },
        headers: [],
      },
    ],
  ])
  const nothing: Visible = new Map()
  // A machine cannot link anything.
  const listOf = (kind: Kind, { user }: GatewayCaller) => (kind === 'tools' && user ? tools : nothing)
  return {
    ...upstream,
    account,
    describe: async (caller, patience) =>
      (await account.isLinked(caller)) ? upstream.describe(caller, patience) : unlinked,
    list: async (kind, caller, patience) =>
      (await account.isLinked(caller)) ? upstream.list(kind, caller, patience) : listOf(kind, caller),
    listNow(kind, caller) {
      const isLinked = account.isLinkedNow(caller)
      if (isLinked === undefined) return undefined
      return isLinked ? upstream.listNow(kind, caller) : listOf(kind, caller)
    },
  }
}
