import { expect, test } from 'bun:test'
import type { Gateway, GatewayCaller } from '../../src/gateway/exchange.ts'
import { openedTools } from '../../src/gateway/opened.ts'

const delete_page = { name: 'delete_page', annotations: { destructiveHint: true } }
const SERVERS: Record<string, () => Promise<unknown>> = {
  wiki: async () => ({ tools: [{ name: 'read_page' }, delete_page] }),
  empty: async () => ({ tools: [] }),
  broken: () => Promise.reject(new Error('spawn ENOENT')),
  hidden: async () => ({ tools: [{ name: 'secret' }] }),
}

test('what is opened names its tools, and the servers that do not answer', async () => {
  const gateway = {
    endpoints: () => Object.keys(SERVERS).map(name => ({ name })),
    mayUse: (name: string) => name !== 'hidden',
    request: (name: string) => SERVERS[name]!(),
  } as unknown as Gateway
  expect(await openedTools(gateway, undefined, {} as GatewayCaller)).toEqual([
    {
      name: 'wiki',
      tools: [
        { name: 'delete_page', destructive: true },
        { name: 'read_page', destructive: false },
      ],
    },
    { name: 'broken', tools: undefined },
  ])
})
