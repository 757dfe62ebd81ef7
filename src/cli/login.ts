/**
 * Signs in to any MCP server by device code, using only its public endpoints: `login-discovery` finds them and registers,
 * `login-tools` calls the server, `login-store` keeps the connection on request. It relies on nothing specific to this
 * server, and strips control characters from everything that it prints.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { rootCertificates } from 'node:tls'
import {
  authorizeDevice,
  type ClientRequest,
  type DevicePrompt,
  refreshTokens,
  request,
  revokeToken,
  type Web,
} from '../lib/device-grant.ts'
import { UnreachableError, UsageError } from '../lib/errors.ts'
import { PROGRAM } from '../lib/program.ts'
import { readCa } from './certificates.ts'
import { showCode } from './login-code.ts'
import { discover, register, type Target } from './login-discovery.ts'
import { type Connection, connectionsFile, findConnection, requireStore, storeConnection } from './login-store.ts'
import { asciiJson, type Endpoint, type Use, useServer } from './login-tools.ts'
import { print, say } from './terminal.ts'

interface LoginOptions extends Partial<Use> {
  save?: boolean
  clientId?: string
  secretFile?: string
  scope?: string[]
  ca?: string
}

/** Messages go to standard error; standard output is for `--json` and for what tools return. */
export async function login(address: string, options: LoginOptions): Promise<void> {
  const url = serverUrl(address)
  const use = readUse(options)
  const saved = options.save || options.clientId ? undefined : findConnection(url.href)
  if (saved) {
    say(`Using the connection that was saved for ${url.href}`)
    return useServer(endpointOf(url, saved, true), use)
  }
  if (options.save) requireStore()
  const { connection, tokens } = await signIn(url, options)
  let isKept = false
  try {
    if (options.save) {
      await save(url, connection)
      isKept = true
    }
    if (use.json && use.action === undefined) {
      print(asciiJson({ client_id: connection.client_id, resource: connection.resource, ...tokens }))
      isKept = true
    }
    await useServer(endpointOf(url, connection, options.save === true), use)
  } finally {
    if (!isKept) await end(connection)
  }
}

export async function logout(address: string): Promise<void> {
  const url = serverUrl(address)
  const saved = findConnection(url.href)
  if (!saved) throw new UsageError(`No connection to ${url.href} is saved in ${connectionsFile()}`)
  await end(saved)
  storeConnection(url.href, undefined)
}

function serverUrl(address: string): URL {
  const url = URL.parse(address)
  if (!url || !/^https?:$/.test(url.protocol))
    throw new UsageError(`${address} is not a URL that begins with http:// or https://`)
  return url
}

function readUse({ action, tool, arg = [], args, json = false }: LoginOptions): Use {
  if (action === 'call' && tool === undefined) throw new UsageError('Name the tool to call: login URL call TOOL')
  if (action !== 'call' && (tool !== undefined || arg.length > 0 || args !== undefined))
    throw new UsageError('Arguments of a tool need: login URL call TOOL')
  return { action, tool, arg, args, json }
}

async function signIn(url: URL, { clientId, secretFile, scope, ca }: LoginOptions) {
  if (secretFile !== undefined && clientId === undefined)
    throw new UsageError('--secret-file is for the client of --client-id')
  const secret = secretFile === undefined ? undefined : readSecret(secretFile)
  const authority = ca === undefined ? undefined : resolve(ca)
  const web = openWeb(authority)
  const target = await discover(url, web)
  say(`${endpointUrl(url, target)} is protected by ${target.issuer}`)
  const client = { client_id: clientId ?? (await register(target, web)) }
  const connection: Omit<Connection, 'access_token'> = {
    issuer: target.issuer,
    token_endpoint: target.metadata.token_endpoint,
    revocation_endpoint: target.revocationEndpoint,
    ...client,
    ...(secret === undefined ? {} : authenticationOf(target, client.client_id, secret)),
    resource: target.resource,
    ca: authority,
  }
  const code = showCode()
  try {
    const tokens = await authorizeDevice(
      {
        ...requestOf(connection, web),
        deviceAuthorizationEndpoint: target.deviceAuthorizationEndpoint,
        tokenEndpoint: target.metadata.token_endpoint,
        scope: scope?.join(' ') ?? target.scope,
      },
      (prompt: DevicePrompt) => code.show(prompt),
    )
    code.close()
    say('Signed in.\n')
    const refresh = tokens.refresh_token
    const refresh_token = typeof refresh === 'string' ? refresh : undefined
    return { tokens, connection: { ...connection, access_token: tokens.access_token, refresh_token } }
  } finally {
    code.close()
  }
}

/** As the server wants it (RFC 6749 2.3.1). */
function authenticationOf({ metadata }: Target, id: string, secret: string): Partial<Connection> {
  const methods = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
  if (!methods.includes('client_secret_basic')) return { client_secret: secret }
  const pair = [id, secret].map(part => encodeURIComponent(part)).join(':')
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }
}

function readSecret(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8').trim()
  } catch (error) {
    throw new UsageError(`The secret in ${file} cannot be read (${(error as { code?: string }).code})`)
  }
}

function requestOf(connection: Omit<Connection, 'access_token'>, web = openWeb(connection.ca)): ClientRequest {
  const { client_id, client_secret, resource, authorization } = connection
  const common = { client_id, ...(client_secret ? { client_secret } : {}), ...(resource ? { resource } : {}) }
  return { common, authorization, web }
}

/** Replaces an earlier connection to the server, which ends. */
async function save(url: URL, connection: Connection): Promise<void> {
  const earlier = findConnection(url.href)
  storeConnection(url.href, connection)
  say(`Saved the connection in ${connectionsFile()}; to end it: ${PROGRAM} logout ${url.href}`)
  if (earlier) await end(earlier)
}

/** The address that the server names, which is requested as it is but normalized before it is printed. */
const endpointUrl = (url: URL, { resource }: { resource?: string | undefined }) => new URL(resource ?? url).href

/** An MCP server with tokens; those that are kept are renewed when they are refused. */
function endpointOf(url: URL, connection: Connection, isKept: boolean): Endpoint {
  let current = connection
  const onUnauthorized = async () => {
    current = await renew(url, current)
  }
  return {
    url: endpointUrl(url, connection),
    fetch: (place, init) => fetch(place, { ...init, ...trusting(connection.ca) }),
    authProvider: {
      token: async () => current.access_token,
      ...(isKept ? { onUnauthorized } : {}),
    },
  }
}

async function renew(url: URL, used: Connection): Promise<Connection> {
  const saved = findConnection(url.href)
  // Another process may have renewed it meanwhile.
  if (saved && saved.client_id === used.client_id && saved.access_token !== used.access_token) return saved
  const tokens =
    used.refresh_token === undefined
      ? undefined
      : await refreshTokens(requestOf(used), used.token_endpoint, used.refresh_token)
  if (!tokens) throw new UsageError(`The connection has ended; sign in again: ${PROGRAM} login ${url.href} --save`)
  const refresh_token = typeof tokens.refresh_token === 'string' ? tokens.refresh_token : used.refresh_token
  const renewed = { ...used, access_token: tokens.access_token, refresh_token }
  if (saved) storeConnection(url.href, renewed)
  return renewed
}

/** Ends a connection at its server (RFC 7009), and says so. */
async function end(connection: Connection): Promise<void> {
  const { revocation_endpoint: place, refresh_token, access_token, issuer } = connection
  if (place === undefined) return say(`${issuer} cannot end connections on request; disconnect it on its page.`)
  try {
    await revokeToken(requestOf(connection), place, refresh_token ?? access_token)
    say(`Ended the connection with ${issuer}.`)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    say(`The connection with ${issuer} goes on: ${error.message}`)
  }
}

const trusting = (ca: string | undefined) =>
  ca === undefined ? {} : { tls: { ca: [...rootCertificates, readCa(ca)] } }

/** Requests that trust a CA of the user's, too. */
function openWeb(ca: string | undefined): Web {
  const trust = trusting(ca)
  return async (url, init) => {
    try {
      return await request(url, { ...init, ...trust })
    } catch (error) {
      if (!(error instanceof UnreachableError) || !/self.signed|unable to (get|verify)/i.test(error.message))
        throw error
      throw new UnreachableError(`${error.message}\nIf a CA of your own has signed it, name its certificate: --ca FILE`)
    }
  }
}
