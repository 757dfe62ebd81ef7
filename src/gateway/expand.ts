/**
 * `${NAME}` in the configuration file: variables of our environment once, when the file is read; `${user.email}`,
 * `${user.sub}`, `${user.name}` and `${client.id}` for every principal. Each is one pass, so that what a value holds is
 * never expanded again.
 */
import { readVariable } from '../config.ts'
import { fail } from './connection.ts'

/** How to reach an upstream: as the file says, variables filled in. */
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

/** What a caller is for an upstream; a machine has neither e-mail address nor name, and its client id is `sub`. */
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
  /** Whether placeholders of a principal are left in the text. */
  personal: boolean
}

const PLACEHOLDER = /\$\{([^}]*)(\}?)/g
const PERSONAL = /\$\{(user\.email|user\.sub|user\.name|client\.id)(?::-([^}]*))?\}/g
const FORM = /^([A-Za-z_]\w*)(?::-(.*))?$/s

/** Fills the variables in; `NAME_FILE` may name a file that holds the value. An empty variable counts as not set. */
export function expandVariables(text: string, variables: Variables, allow: { personal: boolean }): Expanded {
  const problems: string[] = []
  let personal = false
  const expanded = text.replace(PLACEHOLDER, (whole: string, inside: string, end: string) => {
    const refuse = (problem: string) => {
      problems.push(problem)
      return ''
    }
    if (!end) return refuse(`holds "\${" without "}"`)
    if (whole.match(PERSONAL)?.[0] === whole) {
      personal = true
      return allow.personal ? whole : refuse(`holds ${whole}, which is known in "env" and "headers" only`)
    }
    const [, name, fallback] = FORM.exec(inside) ?? []
    if (!name) return refuse(`holds ${whole}, which is not known here; ${advice(inside)}`)
    const found = readVariable(variables.env, name, variables.readFile)
    if (found && 'problem' in found) return refuse(`needs ${name}, but ${found.name} ${found.problem}`)
    return (
      found?.value ?? fallback ?? refuse(`needs the variable ${name}, which is not set; set ${name} or ${name}_FILE`)
    )
  })
  return { text: expanded, problems, personal }
}

/** Forms of other programs, and what to write instead. */
function advice(inside: string): string {
  const name = /^env:([A-Za-z_]\w*)$/.exec(inside)?.[1]
  if (name) return `write \${${name}}`
  if (inside.startsWith('input:')) return 'a server has nobody to ask: write ${NAME} and set that variable'
  if (/^(user|client)\./.test(inside)) return 'there are ${user.email}, ${user.sub}, ${user.name} and ${client.id}'
  return 'write ${NAME} or ${NAME:-default}'
}

/**
 * Fills in who calls. In headers, what is not ASCII (and `%`) is percent-encoded as UTF-8.
 *
 * @throws UpstreamFailure if the caller has no such property, or its value cannot be carried.
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
      if (value === undefined) throw fail('refused', `the caller has nothing for ${whole}`)
      if (hasControls(value)) throw fail('refused', `the caller's ${name} has a control character`)
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

/** CR, LF and NUL end a header, a line or a string too early. */
export const hasControls = (value: string) => /[\r\n\0]/.test(value)

function mapValues(record: Record<string, string>, change: (text: string) => string): Record<string, string> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))
}
