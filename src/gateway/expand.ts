/**
 * Expands `${NAME}` in the configuration file: environment variables once, when the file is read; `${user.email}`,
 * `${user.sub}`, `${user.name}` and `${client.id}` per principal. Each is a single pass, so a value is never expanded
 * again.
 */
import { readVariable } from '../config.ts'
import { fail } from './connection.ts'

/** How to reach an upstream: from the file, with environment variables expanded. */
export type Transport =
  | {
      type: 'stdio'
      command: string
      args: string[]
      /** The whole environment of the child. */
      env: Record<string, string>
      cwd?: string
    }
  | { type: 'http'; kind: 'auto' | 'streamable-http' | 'sse'; url: string; headers: Record<string, string> }

/** The caller, for placeholders. A machine has neither e-mail address nor name, and its client id is `sub`. */
export interface Who {
  user?: { id: string; email: string; name: string }
  clientId: string
}

export interface Variables {
  env: Record<string, string | undefined>
  readFile(path: string): string
}

export interface Expanded {
  text: string
  problems: string[]
  /** Whether the text still contains placeholders for the principal. */
  personal: boolean
}

const PLACEHOLDER = /\$\{([^}]*)(\}?)/g
const PERSONAL = /\$\{(user\.email|user\.sub|user\.name|client\.id)(?::-([^}]*))?\}/g
const FORM = /^([A-Za-z_]\w*)(?::-(.*))?$/s

/** Expands environment variables; `NAME_FILE` may name a file that holds the value. An empty variable counts as not set. */
export function expandVariables(text: string, variables: Variables, allow: { personal: boolean }): Expanded {
  const problems: string[] = []
  let personal = false
  const expanded = text.replace(PLACEHOLDER, (whole: string, inside: string, end: string) => {
    const refuse = (problem: string) => {
      problems.push(problem)
      return ''
    }
    if (!end) return refuse(`contains "\${" without "}"`)
    if (whole.match(PERSONAL)?.[0] === whole) {
      personal = true
      return allow.personal ? whole : refuse(`contains ${whole}, which is available only in "env" and "headers"`)
    }
    const [, name, fallback] = FORM.exec(inside) ?? []
    if (!name) return refuse(`contains ${whole}, which is not supported; ${advice(inside)}`)
    const found = readVariable(variables.env, name, variables.readFile)
    if (found && 'problem' in found) return refuse(`needs ${name}, but ${found.name} ${found.problem}`)
    return (
      found?.value ?? fallback ?? refuse(`needs the variable ${name}, which is not set; set ${name} or ${name}_FILE`)
    )
  })
  return { text: expanded, problems, personal }
}

/** What to write instead of forms that other programs support. */
function advice(inside: string): string {
  const name = /^env:([A-Za-z_]\w*)$/.exec(inside)?.[1]
  if (name) return `write \${${name}}`
  if (inside.startsWith('input:')) return 'a server cannot prompt for input: write ${NAME} and set that variable'
  if (/^(user|client)\./.test(inside)) return 'use ${user.email}, ${user.sub}, ${user.name} or ${client.id}'
  return 'write ${NAME} or ${NAME:-default}'
}

/**
 * Fills in the caller. In headers, characters outside printable ASCII and `%` are percent-encoded as UTF-8.
 *
 * @throws UpstreamFailure if the caller has no such property, or its value contains control characters.
 */
export function expandFor(transport: Transport, who: Who): Transport {
  const values: Record<string, string | undefined> = {
    'user.email': who.user?.email,
    'user.name': who.user?.name,
    'user.sub': who.user?.id ?? who.clientId,
    'client.id': who.clientId,
  }
  const fill = (encode: (value: string) => string) => (text: string) =>
    text.replace(PERSONAL, (whole, name: string, fallback?: string) => {
      const value = values[name] || fallback
      if (value === undefined) throw fail('refused', `the caller has no value for ${whole}`)
      if (hasControls(value)) throw fail('refused', `the caller's ${name} contains a control character`)
      return encode(value)
    })
  if (transport.type === 'stdio')
    return {
      ...transport,
      env: mapValues(
        transport.env,
        fill(value => value),
      ),
    }
  return { ...transport, headers: mapValues(transport.headers, fill(encodeHeader)) }
}

const encodeHeader = (value: string) => value.replace(/[^\x20-\x7e]+|%/gu, encodeURIComponent)

/** CR, LF and NUL would end a header, a line or a string early. */
export const hasControls = (value: string) => /[\r\n\0]/.test(value)

function mapValues(record: Record<string, string>, change: (text: string) => string): Record<string, string> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))
}
