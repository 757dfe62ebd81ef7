/** The connections that `login --save` keeps: a file of this user's, readable by nobody else. */
import { accessSync, constants, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { UsageError } from '../lib/errors.ts'

const connectionSchema = z.object({
  issuer: z.string(),
  token_endpoint: z.string(),
  revocation_endpoint: z.string().optional(),
  client_id: z.string(),
  /** Of a client with a secret: a header (client_secret_basic), or a parameter. */
  authorization: z.string().optional(),
  client_secret: z.string().optional(),
  resource: z.string().optional(),
  access_token: z.string(),
  refresh_token: z.string().optional(),
  /** The file of `--ca`. */
  ca: z.string().optional(),
})

/** What is needed to use, renew and end a connection. */
export type Connection = z.output<typeof connectionSchema>

const fileSchema = z.record(z.string(), connectionSchema)

export function connectionsFile(): string {
  return join(process.env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'mcp-oauth-server', 'connections.json')
}

/** @param url The address that was given to `login`. */
export function findConnection(url: string): Connection | undefined {
  return readAll()[url]
}

/** Stores a connection, or forgets it. Others that were stored meanwhile stay. */
export function storeConnection(url: string, connection: Connection | undefined): void {
  const { [url]: _, ...others } = readAll()
  const text = `${JSON.stringify(connection ? { ...others, [url]: connection } : others, null, 2)}\n`
  write(path => {
    const written = `${path}.${process.pid}`
    writeFileSync(written, text, { mode: 0o600 })
    renameSync(written, path)
  })
}

/** Before somebody signs in for nothing. @throws UsageError if connections cannot be read or stored. */
export function requireStore(): void {
  readAll()
  write(path => accessSync(dirname(path), constants.W_OK))
}

function write(work: (path: string) => void): void {
  const path = connectionsFile()
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    work(path)
  } catch (error) {
    throw new UsageError(`${path} cannot be written (${(error as { code?: string }).code})`)
  }
}

function readAll(): Record<string, Connection> {
  let text: string
  try {
    text = readFileSync(connectionsFile(), 'utf8')
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return {}
    throw new UsageError(`${connectionsFile()} cannot be read (${(error as { code?: string }).code})`)
  }
  try {
    return fileSchema.parse(JSON.parse(text))
  } catch {
    throw new UsageError(`${connectionsFile()} is not a file of connections; move it away, and sign in again`)
  }
}
