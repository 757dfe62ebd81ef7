/** One entry of `mcpServers`: every field with its type and default. config.ts checks combinations of fields. */
import { z } from 'zod'
import { AUTH_FIELDS, authSchema } from './auth-entry.ts'

const DAY = 86_400_000
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/
const HEADER = /^[!#$%&'*+.^_`|~\w-]+$/

const text = z.string({ error: 'must be a string in quotes' })
const written = text.min(1, { error: 'must not be empty' })
const flag = (fallback: boolean) => z.boolean({ error: 'must be true or false, without quotes' }).default(fallback)

function whole(min: number, max: number, unit = '') {
  const error = `must be a whole number${unit} from ${min} to ${max}, without quotes`
  return z.number({ error }).int({ error }).min(min, { error }).max(max, { error })
}
const milliseconds = (min: number) => whole(min, DAY, ' of milliseconds')

const oneOf = <T extends string>(values: readonly [T, ...T[]]) =>
  z.enum(values, { error: `must be ${values.map(value => `"${value}"`).join(' or ')}` })

const texts = z.array(text, { error: 'must be a list of strings, such as ["a", "b"]' })
const globs = z.array(written, { error: 'must be a list of strings, such as ["read_*"]' })
const record = (key: RegExp, keys: string) =>
  z.record(z.string().regex(key), text, {
    error: issue =>
      issue.code === 'invalid_key' ? `is not ${keys}` : 'must be an object of strings, such as {"NAME": "value"}',
  })

const filter = z
  .object(
    { allow: globs.optional(), deny: globs.optional() },
    { error: 'must be an object such as {"allow": ["read_*"]}' },
  )
  .default({})

/** Clients spell the transports differently: `streamableHttp`, `streamable_http`, `STDIO`. */
const TYPES = { stdio: 'stdio', http: 'http', streamablehttp: 'streamable-http', sse: 'sse' } as const
const type = text.transform((value, context) => {
  const known = TYPES[value.toLowerCase().replace(/[-_]/g, '') as keyof typeof TYPES]
  if (known) return known
  context.issues.push({ code: 'custom', message: 'must be "stdio", "http", "streamable-http" or "sse"', input: value })
  return z.NEVER
})

export const entrySchema = z.object({
  command: written.optional(),
  args: texts.default([]),
  env: record(/^[^=\0]+$/, 'a valid variable name').default({}),
  cwd: written.optional(),
  url: written.optional(),
  headers: record(HEADER, 'a valid header name').default({}),
  auth: authSchema.optional(),
  type: type.optional(),
  disabled: flag(false),
  timeout: milliseconds(1).default(60_000),
  /** Default: 600,000 or `timeout`, whichever is larger. */
  maxTimeout: milliseconds(1).optional(),
  startTimeout: milliseconds(1).default(120_000),
  idleTimeout: milliseconds(0).default(600_000),
  isolation: oneOf(['user', 'session', 'shared']).default('user'),
  concurrency: whole(1, 10_000).default(16),
  queue: whole(0, 100_000).default(64),
  maxBytes: whole(1024, 1_073_741_824, ' of bytes').default(10_485_760),
  maxTools: whole(1, 100_000).default(1000),
  tools: filter,
  prompts: filter,
  resources: filter,
  users: globs.optional(),
  scopes: z
    .record(z.string(), text.regex(SCOPE, { error: 'must be one scope, without spaces or quotes' }), {
      error: 'must be an object that maps globs to scopes, such as {"delete_*": "files:delete"}',
    })
    .default({}),
  roots: flag(false),
  onChange: oneOf(['log', 'block']).default('log'),
  audit: z
    .object(
      { arguments: flag(false), redact: globs.default([]) },
      { error: 'must be an object such as {"arguments": true, "redact": ["password"]}' },
    )
    .default({ arguments: false, redact: [] }),
})

export type Entry = z.output<typeof entrySchema>

/** Known members of objects inside an entry; `env`, `headers` and `scopes` may have any. */
const INSIDE: Readonly<Record<string, readonly string[]>> = {
  tools: ['allow', 'deny'],
  prompts: ['allow', 'deny'],
  resources: ['allow', 'deny'],
  audit: ['arguments', 'redact'],
  auth: AUTH_FIELDS,
}

/** Names of our fields in other programs, lowercased without separators. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  serverurl: 'url',
  httpurl: 'url',
  endpoint: 'url',
  cmd: 'command',
  environment: 'env',
  envs: 'env',
  transport: 'type',
  transporttype: 'type',
  enabled: 'disabled',
  requesttimeout: 'timeout',
  scope: 'scopes',
}

/** Unknown fields, each with the known field that was probably meant. */
export function unknownFields(entry: Record<string, unknown>): { path: string[]; meant?: string }[] {
  const known = Object.keys(entrySchema.shape)
  const outer = Object.keys(entry).filter(key => !known.includes(key))
  const inner = Object.entries(INSIDE).flatMap(([field, members]) => {
    const value = entry[field]
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
    return Object.keys(value)
      .filter(key => !members.includes(key))
      .map(key => ({ path: [field, key] }))
  })
  return [
    ...outer.map(key => {
      const plain = key.toLowerCase().replace(/[-_]/g, '')
      const meant = known.find(name => name.toLowerCase() === plain) ?? ELSEWHERE[plain]
      return { path: [key], ...(meant ? { meant } : {}) }
    }),
    ...inner,
  ]
}
