import { readFileSync } from 'node:fs'
import type { AuthMethod } from '../../sql/clients.ts'
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
import { readArgs, readScopes as readKnownScopes, withDeps } from './environment.ts'

const USAGE =
  'Usage: mcp-oauth-server client add NAME [--grant TYPE]... [--scope SCOPE]... [--redirect-uri URI]... [--confidential | --auth METHOD] [--jwks FILE|URL] | list | rotate-secret ID | remove ID'

/** The device grant's full name is a URN (RFC 8628 3.4); the command line uses a short one. */
const shortName = (grant: string) => (grant === DEVICE_CODE_GRANT ? 'device_code' : grant)
const GRANT_NAMES: Record<string, GrantType> = Object.fromEntries(GRANT_TYPES.map(grant => [shortName(grant), grant]))

const OPTIONS = {
  grant: { type: 'string', multiple: true },
  scope: { type: 'string', multiple: true },
  'redirect-uri': { type: 'string', multiple: true },
  confidential: { type: 'boolean' },
  auth: { type: 'string' },
  jwks: { type: 'string' },
} as const

type Options = ReturnType<typeof readArgs<typeof OPTIONS>>['values']

export async function run(args: string[]): Promise<void> {
  const { values, positionals } = readArgs(args, OPTIONS)
  const [action, subject, ...more] = positionals
  if (more.length > 0) throw new UsageError(USAGE)
  if (action === 'list' && !subject) return list()
  if (action === 'remove' && subject) return remove(subject)
  if (action === 'rotate-secret' && subject) return rotateSecret(subject)
  if (action === 'add' && subject) return add(subject, values)
  throw new UsageError(USAGE)
}

async function add(name: string, options: Options): Promise<void> {
  const client = readClient(name, options)
  await withDeps(async deps => {
    const { id, secret } = await addClient(deps, client)
    console.log(`client_id      ${id}`)
    if (secret) showSecret(secret)
  })
}

/** Builds the client from the options. @throws UsageError that lists every problem. */
function readClient(name: string, options: Options): NewOperatorClient {
  const problems: string[] = []
  if (name.length > 100) problems.push('NAME must be at most 100 characters')
  const redirectUris = words(options['redirect-uri'])
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

function readAuthMethod({ auth, confidential }: Options, problems: string[]): AuthMethod | undefined {
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
  console.log(`client_secret  ${secret}`)
  console.error('The secret is shown only once. Store it where only the client can read it.')
}

async function list(): Promise<void> {
  await withDeps(async deps => {
    for await (const client of listClients(deps)) {
      const grants = client.grant_types.map(shortName)
      console.log([client.id, client.source, grants.join(','), client.scope.join(','), client.name].join('\t'))
    }
  })
}

async function rotateSecret(id: string): Promise<void> {
  await withDeps(async deps => {
    const secret = await rotateClientSecret(deps, id)
    if (!secret) throw new UsageError(`There is no client ${id} with a secret; see: mcp-oauth-server client list`)
    showSecret(secret)
  })
}

async function remove(id: string): Promise<void> {
  await withDeps(async deps => {
    if (!(await removeClient(deps, id)))
      throw new UsageError(`There is no client ${id}; see: mcp-oauth-server client list`)
    console.log(`Removed ${id}; its tokens no longer work.`)
  })
}
