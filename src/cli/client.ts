import { UsageError } from '../lib/errors.ts'
import { addClient, listClients, removeClient } from '../oauth/clients/index.ts'
import { redirectUriProblem } from '../oauth/clients/redirect-uris.ts'
import { DEVICE_CODE_GRANT, GRANT_TYPES, type GrantType } from '../oauth/grants/types.ts'
import { openScopes } from '../oauth/scopes.ts'
import { readArgs, withDeps } from './environment.ts'

const USAGE =
  'Usage: mcp-oauth-server client add NAME [--grant TYPE]... [--scope SCOPE]... [--redirect-uri URI]... | list | remove ID'

/** The device grant has a long name (RFC 8628 3.4), which nobody wants to type. */
const shortName = (grant: string) => (grant === DEVICE_CODE_GRANT ? 'device_code' : grant)
const GRANT_NAMES: Record<string, GrantType> = Object.fromEntries(GRANT_TYPES.map(grant => [shortName(grant), grant]))

export async function run(args: string[]): Promise<void> {
  const { values, positionals } = readArgs(args, {
    grant: { type: 'string', multiple: true },
    scope: { type: 'string', multiple: true },
    'redirect-uri': { type: 'string', multiple: true },
  })
  const [action, subject, ...more] = positionals
  if (more.length > 0) throw new UsageError(USAGE)
  if (action === 'list' && !subject) return list()
  if (action === 'remove' && subject) return remove(subject)
  if (action === 'add' && subject) {
    return add(subject, {
      grants: words(values.grant),
      scopes: words(values.scope),
      redirectUris: words(values['redirect-uri']),
    })
  }
  throw new UsageError(USAGE)
}

function words(values: string[] | undefined): string[] {
  return (values ?? []).flatMap(value => value.split(/[\s,]+/)).filter(Boolean)
}

async function add(name: string, asked: { grants: string[]; scopes: string[]; redirectUris: string[] }): Promise<void> {
  const problems: string[] = []
  if (name.length > 100) problems.push('NAME must have at most 100 characters')
  const usual = [asked.redirectUris.length > 0 ? 'authorization_code' : 'device_code', 'refresh_token']
  const grantTypes = (asked.grants.length > 0 ? asked.grants : usual).map(grant => {
    const known = GRANT_NAMES[shortName(grant)]
    if (!known) problems.push(`--grant ${grant} is not known; use ${Object.keys(GRANT_NAMES).join(', ')}`)
    return known
  })
  const known = openScopes()
  const unknown = asked.scopes.filter(scope => !known.has(scope))
  if (unknown.length > 0) problems.push(`--scope ${unknown.join(' ')} is not known; use ${known.names.join(', ')}`)
  for (const uri of asked.redirectUris) {
    const problem = redirectUriProblem(uri, true)
    if (problem) problems.push(`--redirect-uri ${uri}: ${problem}`)
  }
  if (grantTypes.includes('authorization_code') && asked.redirectUris.length === 0)
    problems.push('--redirect-uri is needed with --grant authorization_code')
  if (problems.length > 0) throw new UsageError(problems.join('\n'))

  await withDeps(async deps => {
    const scope = asked.scopes.length > 0 ? asked.scopes : ['mcp:tools:read', 'mcp:tools:call']
    const { id, secret } = await addClient(deps, {
      name,
      grantTypes: grantTypes as GrantType[],
      redirectUris: asked.redirectUris,
      scope,
    })
    console.log(`client_id      ${id}`)
    if (!secret) return
    console.log(`client_secret  ${secret}`)
    console.error('The secret is shown this once; keep it where the client can read it and nobody else.')
  })
}

async function list(): Promise<void> {
  await withDeps(async deps => {
    for await (const client of listClients(deps)) {
      const grants = client.grant_types.map(shortName)
      console.log([client.id, client.source, grants.join(','), client.scope.join(','), client.name].join('\t'))
    }
  })
}

async function remove(id: string): Promise<void> {
  await withDeps(async deps => {
    if (!(await removeClient(deps, id)))
      throw new UsageError(`There is no client ${id}; see: mcp-oauth-server client list`)
    console.log(`Removed ${id}; its tokens have stopped working.`)
  })
}
