import { endConnectionsOfUsers } from '../admin/connection-ends.ts'
import { UsageError } from '../lib/errors.ts'
import { listAllPersonalTokens } from '../oauth/personal-tokens.ts'
import { listAllConnections, renameConnection, revokeGrant, revokeGrantsOfClient } from '../oauth/tokens.ts'
import { lastUseOf } from '../oauth/uses.ts'
import { withDeps } from './environment.ts'
import { counted, print, printJson, printTable, say } from './terminal.ts'

export async function list({ json, user, client }: { json?: boolean; user?: string; client?: string }): Promise<void> {
  await withDeps(async deps => {
    const connections = listAllConnections(deps, { email: user, clientId: client })
    if (json) return printJson(await Array.fromAsync(connections))
    async function* rows() {
      for await (const { id, email, client_name, scope, resource, label, ...times } of connections)
        yield [id, email, client_name, scope.join(' '), resource, lastUseOf(times), label ?? '']
    }
    const columns = ['id', 'user', 'app', 'scope', 'resource', 'used', 'name']
    await printTable({ columns, rows: rows() }, deps.now())
    const { done } = client === undefined ? await listAllPersonalTokens(deps, user).next() : { done: true }
    if (!done) say('There are personal access tokens as well; see: mcp-oauth-server token list')
  })
}

export async function end(ids: string[], { user, client }: { user?: string; client?: string }): Promise<void> {
  requireIds(ids, 'a connection', 'connection list')
  if ([ids.length > 0, user !== undefined, client !== undefined].filter(Boolean).length !== 1)
    throw new UsageError('Give ids of connections, or --user EMAIL, or --client ID')
  await withDeps(async deps => {
    if (user !== undefined) return print(ended(await endConnectionsOfUsers(deps, user)))
    if (client !== undefined) return print(ended(await revokeGrantsOfClient(deps, client)))
    const missing: string[] = []
    for (const id of ids) {
      if (await revokeGrant(deps, { grantId: id, by: 'operator' })) print(`Ended ${id}.`)
      else missing.push(id)
    }
    if (missing.length > 0) throw new UsageError(`No longer connected, or never was: ${missing.join(', ')}`)
  })
}

export async function rename(id: string, name: string): Promise<void> {
  requireIds([id], 'a connection', 'connection list')
  await withDeps(async deps => {
    const shown = await renameConnection(deps, { id, name, by: 'operator' })
    if (shown === undefined) throw new UsageError(`No longer connected, or never was: ${id}`)
    print(shown === '' ? `${id} has no name any more.` : `${id} is now called ${shown}.`)
  })
}

const ended = (count: number) => `Ended ${counted(count, 'connection')}.`

/** @throws UsageError unless all are UUIDs. @param what What they identify. @param where The command that lists them. */
export function requireIds(ids: string[], what: string, where: string): void {
  const wrong = ids.find(id => !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id))
  if (wrong !== undefined) throw new UsageError(`${wrong} is not the id of ${what}; see: mcp-oauth-server ${where}`)
}
