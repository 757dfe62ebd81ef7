import { findUserByEmail } from '../../sql/users.ts'
import { UsageError } from '../lib/errors.ts'
import { upstreamScopes } from '../mcp/endpoints.ts'
import { addPersonalToken, listAllPersonalTokens, revokePersonalToken } from '../oauth/personal-tokens.ts'
import { DEFAULT_SCOPE } from '../oauth/scopes.ts'
import { greetedAdministrator } from '../signin/service.ts'
import { requireIds } from './connection.ts'
import { readEndpoints, withDeps } from './environment.ts'
import { print, printJson, printTable, say } from './terminal.ts'

const HOURS: Record<string, number> = { h: 1, d: 24, w: 7 * 24, y: 365 * 24 }

interface AddOptions {
  user?: string
  scope?: string[]
  resource?: string
  expires: string
  json?: boolean
}

export async function add(name: string, { user: email, scope, resource, expires, json }: AddOptions): Promise<void> {
  const days = readDays(expires)
  await withDeps(async deps => {
    const endpoints = readEndpoints()
    deps.resources.serveUpstreams(endpoints)
    deps.scopes.extend(upstreamScopes(endpoints))
    const address = email ?? (await greetedAdministrator(deps))
    const user = await findUserByEmail(deps.sql, address)
    if (!user) {
      const next = email ? `let them in first: mcp-oauth-server user invite ${email}` : 'name one with --user'
      throw new UsageError(`There is no user with the address ${address}; ${next}`)
    }
    const added = await addPersonalToken(deps, {
      user: { id: user.id, isAdmin: user.is_admin },
      name,
      scope: (scope ?? [...DEFAULT_SCOPE]).flatMap(value => value.split(/[\s,]+/)).filter(Boolean),
      resource,
      days,
      by: 'operator',
    })
    if (json)
      return printJson({
        id: added.id,
        token: added.token,
        user: address,
        resource: added.resource,
        expires_at: added.expiresAt,
      })
    print(added.token)
    say(
      `It acts for ${address} at ${added.resource} until ${added.expiresAt.toISOString()}. It is shown only once; to end it: mcp-oauth-server token revoke ${added.id}`,
    )
    say(`To try it, set TOKEN to it:\n${sampleRequest(added.resource)}`)
  })
}

const sampleRequest = (
  resource: string,
) => `  curl ${resource} -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
    -d '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'`

function readDays(text: string): number {
  const [, count, unit] = /^(\d{1,6})([hdwy])$/.exec(text) ?? []
  if (!unit) throw new UsageError(`--expires ${text} is not a time such as 12h, 30d or 1y`)
  return (Number(count) * HOURS[unit]!) / 24
}

export async function list({ json, user }: { json?: boolean; user?: string }): Promise<void> {
  await withDeps(async deps => {
    const tokens = listAllPersonalTokens(deps, user)
    if (json) return printJson(await Array.fromAsync(tokens))
    async function* rows() {
      for await (const { id, email, name, scope, resource, expires_at, used_at } of tokens)
        yield [id, email, name, scope.join(' '), resource, expires_at, used_at]
    }
    const columns = ['id', 'user', 'name', 'scope', 'endpoint', 'expires', 'used']
    await printTable({ columns, rows: rows() }, deps.now())
  })
}

export async function revoke(ids: string[]): Promise<void> {
  requireIds(ids, 'a token', 'token list')
  await withDeps(async deps => {
    const missing: string[] = []
    for (const id of ids) {
      if (await revokePersonalToken(deps, { id, by: 'operator' })) print(`Revoked ${id}.`)
      else missing.push(id)
    }
    if (missing.length > 0) throw new UsageError(`No longer valid, or never was: ${missing.join(', ')}`)
  })
}
