import type { z } from 'zod'
import { OAuthError } from '../lib/errors.ts'
import { JsonError, parseJson } from '../lib/json.ts'
import { printableText } from '../lib/text.ts'
import { readText } from './body.ts'

const BODY_LIMIT = 64 * 1024
const MAX_PARAMETERS = 64
/** Maximum length of a value typed by a user, in characters. */
const TYPED_LIMIT = 100

/** Parameters of one request. A missing or empty parameter (RFC 6749 3.1) is absent. */
export type Params = Readonly<Record<string, string>>

/** Exceptions to how parameters are read. */
export interface Reading {
  /** The name of a parameter typed by a user: its value is made printable instead of being refused. */
  typed?: string
  /** Collects repeated parameters instead of refusing the request; the first value of each name counts. */
  repeated?: Repeated
}

export type Repeated = [name: string, value: string][]

/** Camel-case names that are accepted in JSON. */
const JSON_ALIASES: Record<string, string> = {
  clientId: 'client_id',
  clientSecret: 'client_secret',
  deviceCode: 'device_code',
  grantType: 'grant_type',
  userCode: 'user_code',
}

/**
 * Reads the parameters of a POST body, form-encoded or JSON. In JSON, `scope` may be an array.
 *
 * @throws OAuthError `invalid_request` if the body is malformed or too large, or a parameter is repeated or not a string.
 */
export async function readParams(request: Request, reading: Reading = {}): Promise<Params> {
  const type = (request.headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase()
  const text = await readText(request, BODY_LIMIT)
  if (type === 'application/json') return jsonParams(text, reading)
  if (type === 'application/x-www-form-urlencoded' || (type === '' && text === '')) return parseParams(text, reading)
  throw new OAuthError(
    'invalid_request',
    'The content type must be application/x-www-form-urlencoded or application/json',
  )
}

/** The parameters of a query string. @throws OAuthError as {@link readParams}. */
export function queryParams(request: Request, reading?: Reading): Params {
  const mark = request.url.indexOf('?')
  return parseParams(mark < 0 ? '' : request.url.slice(mark + 1).split('#')[0]!, reading)
}

/** The parameters of a form-encoded text. @throws OAuthError as {@link readParams}. */
export function parseParams(encoded: string, reading: Reading = {}): Params {
  if (encoded.split('&', MAX_PARAMETERS + 1).length > MAX_PARAMETERS) {
    throw new OAuthError('invalid_request', `There must be at most ${MAX_PARAMETERS} parameters`)
  }
  return collect(entriesOf(encoded), reading)
}

/** As URLSearchParams reads them, which takes several times as long where nothing is encoded. */
function entriesOf(encoded: string): Iterable<[string, string]> {
  if (/^\?|[%+]/.test(encoded)) return new URLSearchParams(encoded)
  const pairs = encoded.split('&').filter(pair => pair !== '')
  return pairs.map(pair => {
    const end = pair.indexOf('=')
    return end < 0 ? [pair, ''] : [pair.slice(0, end), pair.slice(end + 1)]
  })
}

function jsonParams(text: string, reading: Reading): Params {
  let body: unknown
  try {
    body = parseJson(text)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    throw new OAuthError('invalid_request', `The request body ${error.message}`)
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new OAuthError('invalid_request', 'The request body must be a JSON object')
  }
  const entries: [string, string][] = []
  for (const [key, value] of Object.entries(body)) {
    const name = JSON_ALIASES[key] ?? key
    if (value === null || value === undefined) continue
    if (typeof value === 'string') entries.push([name, value])
    else if (name === 'scope' && Array.isArray(value) && value.every(item => typeof item === 'string'))
      entries.push([name, value.join(' ')])
    else throw new OAuthError('invalid_request', `The parameter ${printable(name)} must be a string`)
  }
  return collect(entries, reading)
}

function collect(entries: Iterable<[string, string]>, { typed, repeated }: Reading): Params {
  const params: Record<string, string> = Object.create(null)
  const seen = new Set<string>()
  for (const [name, given] of entries) {
    const value = name === typed ? printableText(given.replace(/\p{C}/gu, ' '), TYPED_LIMIT) : given
    const isRepeated = seen.has(name) && !(name === 'resource' && params[name] === value)
    seen.add(name)
    if (isRepeated && !repeated) throw repetition(name)
    if (!value.isWellFormed())
      throw new OAuthError('invalid_request', `The parameter ${printable(name)} is not valid Unicode`)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
    if (/[\u0000-\u001f\u007f]/.test(value)) {
      throw new OAuthError('invalid_request', `The parameter ${printable(name)} contains control characters`)
    }
    if (isRepeated) repeated!.push([name, value])
    else if (value !== '') params[name] = value
  }
  return params
}

/** The error for a repeated parameter (RFC 6749 3.1); RFC 8707 2 allows to refuse several resources. */
export function repetition(name: string): OAuthError {
  if (name === 'resource')
    return new OAuthError('invalid_target', 'A token is valid for one resource only; request one at a time')
  return new OAuthError('invalid_request', `The parameter ${printable(name)} is given more than once`)
}

/** A parameter name for an error message, if it looks like one. */
function printable(name: string): string {
  return /^[A-Za-z0-9_.-]{1,40}$/.test(name) ? name : '(unnamed)'
}

/**
 * Validates parameters against a schema.
 *
 * @throws OAuthError `invalid_request` with the name of the first invalid parameter, but not its value.
 */
export function checkParams<T extends z.ZodType>(params: unknown, schema: T): z.output<T> {
  const checked = schema.safeParse(params)
  if (checked.success) return checked.data
  const issue = checked.error.issues[0]!
  const name = String(issue.path[0] ?? 'request')
  const missing = issue.code === 'invalid_type' && issue.path.length === 1 && !(name in (params as object))
  throw new OAuthError(
    'invalid_request',
    missing ? `The parameter ${name} is missing` : `The parameter ${name} is not valid`,
  )
}
