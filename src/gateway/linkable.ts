/**
 * An upstream that people use with accounts of their own, as it looks to who has linked none: it lists one tool, which
 * says where to do that, and nothing is asked of it.
 */
import type { AccountAt } from './credential.ts'
import type { ServerDescription } from './handshake.ts'
import { nameInHub } from './hub-names.ts'
import type { Kind } from './lists.ts'
import type { Upstream, Visible } from './upstream.ts'

/** The tool's name before an upstream's prefix. */
const CONNECT = 'connect'

/** The tool's whole name, the same at the upstream's endpoint and in the hub. */
export function connectNameOf(upstream: string): string {
  return nameInHub([{ upstream, name: CONNECT }])
    .keys()
    .next().value!
}

/** Whether a call is of that tool. */
export const isConnect = ({ account, config }: Upstream, name: unknown): boolean =>
  account !== undefined && (name === CONNECT || name === connectNameOf(config.name))

/** Capabilities are told once, so what may come with an account is announced before. */
const ANNOUNCED = { listChanged: true }

export function openLinkable(upstream: Upstream, account: AccountAt): Upstream {
  const { name } = upstream.config
  const unlinked: ServerDescription = {
    capabilities: { tools: ANNOUNCED, prompts: ANNOUNCED, resources: ANNOUNCED },
    instructions: `${name} needs an account of yours, which is not linked yet: call ${connectNameOf(name)}.`,
  }
  const tools: Visible = new Map([
    [
      CONNECT,
      {
        key: CONNECT,
        item: {
          name: connectNameOf(name),
          title: `Link your account at ${name}`,
          description: `Links the user's own account at ${name}, whose tools are listed afterwards. Answers with the address of a page that the user opens in a browser.`,
          inputSchema: { type: 'object', properties: {} },
          annotations: { readOnlyHint: true, openWorldHint: true },
        },
        headers: [],
      },
    ],
  ])
  const nothing: Visible = new Map()
  const listOf = (kind: Kind) => (kind === 'tools' ? tools : nothing)
  return {
    ...upstream,
    account,
    describe: async (caller, patience) =>
      (await account.isLinked(caller)) ? upstream.describe(caller, patience) : unlinked,
    list: async (kind, caller, patience) =>
      (await account.isLinked(caller)) ? upstream.list(kind, caller, patience) : listOf(kind),
    listNow(kind, caller) {
      const isLinked = account.isLinkedNow(caller)
      if (isLinked === undefined) return undefined
      return isLinked ? upstream.listNow(kind, caller) : listOf(kind)
    },
  }
}
