import { UsageError } from '../lib/errors.ts'
import { listAllConnections, revokeGrant } from '../oauth/tokens.ts'
import { withDeps } from './environment.ts'
import { print, printJson, printTable } from './terminal.ts'

export async function list({ json, user, client }: { json?: boolean; user?: string; client?: string }): Promise<void> {
  await withDeps(async deps => {
    const connections = listAllConnections(deps, { email: user, clientId: client })
    if (json) return printJson(await Array.fromAsync(connections))
    async function* rows() {
      for await (const { id, email, client_name, scope, resource, used_at } of connections)
        yield [id, email, client_name, scope.join(' '), resource, used_at]
    }
    await printTable({ columns: ['id', 'user', 'app', 'scope', 'resource', 'renewed'], rows: rows() }, deps.now())
  })
}

export async function end(ids: string[]): Promise<void> {
  const wrong = ids.find(id => !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id))
  if (wrong !== undefined)
    throw new UsageError(`${wrong} is not the id of a connection; see: mcp-oauth-server connection list`)
  await withDeps(async deps => {
    const missing: string[] = []
    for (const id of ids) {
      if (await revokeGrant(deps, { grantId: id, by: 'operator' })) print(`Ended ${id}.`)
      else missing.push(id)
    }
    if (missing.length > 0) throw new UsageError(`No longer connected, or never was: ${missing.join(', ')}`)
  })
}
