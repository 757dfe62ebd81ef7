import { readFileSync } from 'node:fs'
import { type AuthMethod, findClient as findClientById } from '../../sql/clients.ts'
import { UsageError } from '../lib/errors.ts'
import { keyMaterial } from '../oauth/clients/assertions.ts'
import { AUTH_METHODS } from '../oauth/clients/authentication.ts'
import {
  addClient,
  listClients,
  type NewOperatorClient,
  removeClient,
  rotateClientSecret,
} from '../oauth/clients/index.ts'
import { redirectUriProblem } from '../oauth/clients/redirect-uris.ts'
import { DEVICE_CODE_GRANT, GRANT_TYPES, type GrantType } from '../oauth/grants/types.ts'
import { listAllConnections } from '../oauth/tokens.ts'
import { readScopes as readKnownScopes, withDeps } from './environment.ts'
import { print, printJson, printTable, say } from './terminal.ts'

/** The device grant's full name is a URN (RFC 8628 3.4); the command line uses a short one. */
const shortName = (grant: string) => (grant === DEVICE_CODE_GRANT ? 'device_code' : grant)
const GRANT_NAMES: Record<string, GrantType> = Object.fromEntries(GRANT_TYPES.map(grant => [shortName(grant), grant]))

interface AddOptions {
  grant?: string[]
  scope?: string[]
  redirectUri?: string[]
  confidential?: boolean
  auth?: string
  jwks?: string
}

interface OutputOptions {
  json?: boolean
}

export async function add(name: string, options: AddOptions & OutputOptions): Promise<void> {
  const client = readClient(name, options)
  const { id, secret, namesake } = await withDeps(deps => addClient(deps, client))
  if (namesake !== undefined) say(`There is another client with the name ${name}: ${namesake}`)
  if (options.json) return printJson({ client_id: id, ...(secret ? { client_secret: secret } : {}) })
  print(`CLIENT_ID=${id}`)
  if (secret) showSecret(secret)
}

/** Builds the client from the options. @throws UsageError that lists every problem. */
function readClient(name: string, options: AddOptions): NewOperatorClient {
  const problems: string[] = []
  if (name.length > 100) problems.push('NAME must be at most 100 characters')
  const redirectUris = words(options.redirectUri)
  const grantTypes = readGrants(words(options.grant), redirectUris, problems)
  const scope = readScopes(words(options.scope), problems)
  const keys = readKeys(options.jwks, problems)
  const authMethod = readAuthMethod(options, problems)
  if (authMethod === 'private_key_jwt' && !options.jwks) problems.push('--jwks is required with --auth private_key_jwt')
  if (authMethod && authMethod !== 'private_key_jwt' && options.jwks)
    problems.push(`--jwks works only with --auth private_key_jwt, not ${authMethod}`)
  if (authMethod === 'none' && grantTypes.includes('client_credentials'))
    problems.push('--grant client_credentials needs client authentication; --auth none is for public clients')
  const isPublic = authMethod === 'none' || (!authMethod && !keys)
  for (const uri of redirectUris) {
    const problem = redirectUriProblem(uri, isPublic)
    if (problem) problems.push(`--redirect-uri ${uri}: ${problem}`)
  }
  if (grantTypes.includes('authorization_code') && redirectUris.length === 0)
    problems.push('--redirect-uri is required with --grant authorization_code')
  if (redirectUris.length > 0 && !grantTypes.includes('authorization_code'))
    problems.push('--redirect-uri works only with --grant authorization_code')
  if (grantTypes.every(grant => grant === 'refresh_token'))
    problems.push('--grant refresh_token needs another grant, which gives the client its first refresh token')
  if (options.confidential && (keys || authMethod === 'private_key_jwt'))
    problems.push('--confidential gives the client a secret; with its own keys it needs none')
  if (problems.length > 0) throw new UsageError(problems.join('\n'))
  return { name, grantTypes, redirectUris, scope, ...(authMethod ? { authMethod } : {}), ...(keys ? { keys } : {}) }
}

function readGrants(asked: string[], redirectUris: string[], problems: string[]): GrantType[] {
  const usual = [redirectUris.length > 0 ? 'authorization_code' : 'device_code', 'refresh_token']
  const grantTypes = (asked.length > 0 ? asked : usual).flatMap(grant => {
    const known = GRANT_NAMES[shortName(grant)]
    if (!known) problems.push(`--grant ${grant} is not known; use ${Object.keys(GRANT_NAMES).join(', ')}`)
    return known ?? []
  })
  return grantTypes
}

function readScopes(asked: string[], problems: string[]): string[] {
  const known = readKnownScopes()
  const unknown = asked.filter(scope => !known.has(scope))
  if (unknown.length > 0) problems.push(`--scope ${unknown.join(' ')} is not known; use ${known.names.join(', ')}`)
  return asked.length > 0 ? asked : ['mcp:tools:read', 'mcp:tools:call']
}

function readAuthMethod({ auth, confidential }: AddOptions, problems: string[]): AuthMethod | undefined {
  if (auth === undefined) return confidential ? 'client_secret_basic' : undefined
  const known = AUTH_METHODS.find(method => method === auth)
  if (!known) problems.push(`--auth ${auth} is not known; use ${AUTH_METHODS.join(', ')}`)
  if (confidential && known === 'none') problems.push('--confidential and --auth none cannot be combined')
  return known
}

function readKeys(where: string | undefined, problems: string[]): NewOperatorClient['keys'] {
  if (where === undefined) return undefined
  if (/^https?:/.test(where)) {
    const keys = keyMaterial(undefined, where)
    if (!keys) problems.push(`--jwks ${where} must be an https URL without a user name`)
    return keys
  }
  try {
    const keys = keyMaterial(JSON.parse(readFileSync(where, 'utf8')), undefined)
    if (!keys) problems.push(`--jwks ${where} is not a JWK set of public EC, RSA or OKP keys`)
    return keys
  } catch (error) {
    problems.push(`--jwks ${where} cannot be read: ${(error as { code?: string }).code ?? 'not valid JSON'}`)
    return undefined
  }
}

function words(values: string[] | undefined): string[] {
  return (values ?? []).flatMap(value => value.split(/[\s,]+/)).filter(Boolean)
}

function showSecret(secret: string): void {
  print(`CLIENT_SECRET=${secret}`)
  say('The secret is shown only once. Store it where only the client can read it.')
}

export async function list({ json }: OutputOptions): Promise<void> {
  await withDeps(async deps => {
    if (json) {
      const clients = []
      for await (const {
        id,
        name,
        source,
        auth_method,
        scope,
        redirect_uris,
        created_at,
        used_at,
        grant_types,
      } of listClients(deps))
        clients.push({ id, name, source, auth_method, grant_types, scope, redirect_uris, created_at, used_at })
      return printJson(clients)
    }
    async function* rows() {
      for await (const { id, source, grant_types, scope, name } of listClients(deps))
        yield [id, source, grant_types.map(shortName).join(','), scope.join(','), name]
    }
    await printTable({ columns: ['id', 'added by', 'grants', 'scope', 'name'], rows: rows() }, deps.now())
  })
}

export async function show(id: string, { json }: OutputOptions): Promise<void> {
  const found = await withDeps(async deps => {
    const client = await findClientById(deps.sql, id)
    if (!client) return undefined
    let connections = 0
    for await (const _ of listAllConnections(deps, { clientId: id })) connections += 1
    return { client, connections }
  })
  if (!found) throw new UsageError(`There is no client ${id}; see: mcp-oauth-server client list`)
  const { client, connections } = found
  const { name, source, auth_method, grant_types, scope, redirect_uris, jwks, jwks_uri, details, created_at, used_at } =
    client
  const known = {
    ...{ id, name, source, auth_method, grant_types, scope, redirect_uris, jwks_uri, jwks, ...details },
    ...{ created_at, used_at, connections },
  }
  if (json) return printJson(known)
  for (const [key, value] of Object.entries(known)) {
    const text =
      value instanceof Date ? value.toISOString() : Array.isArray(value) ? value.join(' ') : JSON.stringify(value)
    if (value !== null) print(`${key.padEnd(14)}  ${typeof value === 'string' ? value : text}`)
  }
}

export async function rotateSecret(id: string, { json }: OutputOptions): Promise<void> {
  const secret = await withDeps(deps => rotateClientSecret(deps, id))
  if (!secret) throw new UsageError(`There is no client ${id} with a secret; see: mcp-oauth-server client list`)
  if (json) return printJson({ client_id: id, client_secret: secret })
  showSecret(secret)
}

export async function remove(id: string): Promise<void> {
  if (!(await withDeps(deps => removeClient(deps, id))))
    throw new UsageError(`There is no client ${id}; see: mcp-oauth-server client list`)
  print(`Removed ${id}; its tokens no longer work.`)
}
