import { z } from 'zod'
import {
  accent,
  baseUrl,
  cidr,
  domains,
  duration,
  emails,
  flag,
  httpUrl,
  isDefaultNotices,
  LONG_SECRET,
  LONGEST_ACCESS_TOKEN_TTL,
  logo,
  logoProblem,
  noticeEvents,
  noticeUrl,
  origins,
  port,
  resources,
  seconds,
  webhookSecret,
} from './config-values.ts'
import { UsageError } from './lib/errors.ts'
import { isLoopbackHost } from './lib/networks.ts'

export { LONGEST_ACCESS_TOKEN_TTL }

const databaseUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\//, { error: 'must look like postgres://user:password@host:5432/database' })

/** Every key the server reads from its environment. `.env.example` lists exactly these (a test compares them). */
export const configSchema = z.object({
  BASE_URL: baseUrl.transform(value => new URL(value).origin).optional(),
  ALLOW_HTTP: flag(false),
  AUTH_SECRET: z.string().min(32, { error: LONG_SECRET }).optional(),
  DATABASE_URL: databaseUrl.optional(),
  DATABASE_LISTEN_URL: databaseUrl.optional(),
  REVOCATION_POLL: duration(1, 60).optional(),
  DATABASE_WAIT: seconds(60, 0, 3600),
  DATA_DIR: z.string().default('./data'),
  HOST: z.string().default('127.0.0.1'),
  PORT: port.default(3000),
  GOOGLE_CLIENT_ID: z.string().optional(),
  GOOGLE_CLIENT_SECRET: z.string().optional(),
  GITHUB_CLIENT_ID: z.string().optional(),
  GITHUB_CLIENT_SECRET: z.string().optional(),
  OIDC_ISSUER: httpUrl.optional(),
  OIDC_CLIENT_ID: z.string().optional(),
  OIDC_CLIENT_SECRET: z.string().optional(),
  OIDC_NAME: z.string().max(40, { error: 'must have at most 40 characters' }).default('OpenID'),
  ALLOWED_EMAILS: emails,
  ALLOWED_DOMAINS: domains,
  ADMIN_EMAILS: emails,
  REGISTRATION: z.enum(['open', 'token', 'closed'], { error: 'must be open, token or closed' }).default('open'),
  INITIAL_ACCESS_TOKEN: z.string().min(32, { error: LONG_SECRET }).optional(),
  MCP_SERVERS: z.string().optional(),
  RESOURCES: resources,
  ALLOWED_ORIGINS: origins,
  TRUSTED_PROXIES: cidr,
  // More than the 15 s between two comments of a stream; 255 is Bun's maximum.
  IDLE_TIMEOUT: seconds(75, 20, 255),
  SHUTDOWN_GRACE: duration(0, 600).optional(),
  CLIENT_METADATA_DOCUMENTS: flag(true),
  PERSONAL_TOKENS: flag(true),
  LEGACY_SSE: flag(true),
  ACCESS_TOKEN_TTL: seconds(3600, 60, LONGEST_ACCESS_TOKEN_TTL),
  REFRESH_TOKEN_TTL: seconds(30 * 86_400, 3600, 365 * 86_400),
  GRANT_TTL: seconds(90 * 86_400, 3600, 5 * 365 * 86_400),
  DEVICE_CODE_TTL: seconds(600, 60, 3600),
  SESSION_TTL: seconds(14 * 86_400, 300, 365 * 86_400),
  ACCESS_LOG: flag(true),
  OTEL_EXPORTER_OTLP_ENDPOINT: httpUrl.optional(),
  METRICS_PORT: port.optional(),
  METRICS_TOKEN: z.string().min(32, { error: LONG_SECRET }).optional(),
  NOTIFY_URL: noticeUrl.optional(),
  NOTIFY_SECRET: webhookSecret.optional(),
  NOTIFY_EVENTS: noticeEvents,
  AUDIT_RETENTION: z.coerce
    .number({ error: 'must be a number of days' })
    .int({ error: 'must be a whole number of days' })
    .min(0, { error: 'must be at least 0, which keeps everything' })
    .max(36_500, { error: 'must be at most 36500 days' })
    .default(365),
  SITE_NAME: z.string().max(40, { error: 'must have at most 40 characters' }).optional(),
  SITE_LOGO: logo.optional(),
  SITE_ACCENT: accent.default('2457d6'),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
      error: 'must be fatal, error, warn, info, debug, trace or silent',
    })
    .default('info'),
})

type Parsed = z.output<typeof configSchema>

export interface Config extends Omit<Parsed, 'BASE_URL' | 'SHUTDOWN_GRACE'> {
  /** The issuer; every URL in every response is built from it, never from a request. No trailing slash. */
  BASE_URL: string
  /** Seconds after SIGTERM during which requests are still accepted, so that load balancers can notice. */
  SHUTDOWN_GRACE: number
}

/** With DATABASE_URL there may be other replicas to take over; without, waiting would only delay the restart. */
const defaultGrace = (databaseUrl: string | undefined) => (databaseUrl === undefined ? 0 : 5)

type ReadFile = (path: string) => string | Uint8Array<ArrayBuffer>

/** Names that are read if ours are not set, for those who migrate from NextAuth. */
export const ALIASES: Record<string, string> = { BASE_URL: 'NEXTAUTH_URL', AUTH_SECRET: 'NEXTAUTH_SECRET' }

/** Variables whose values are secrets, including aliases. */
export const SECRET_VARIABLES: readonly string[] = [
  ...['AUTH_SECRET', 'NEXTAUTH_SECRET', 'DATABASE_URL', 'DATABASE_LISTEN_URL', 'INITIAL_ACCESS_TOKEN', 'METRICS_TOKEN'],
  ...['NOTIFY_URL', 'NOTIFY_SECRET'],
  ...['GOOGLE_CLIENT_SECRET', 'GITHUB_CLIENT_SECRET', 'OIDC_CLIENT_SECRET'],
]

/**
 * Reads the configuration from environment variables. For each key `NAME_FILE` may name a file that holds the value.
 *
 * @param env The environment, or any record of strings.
 * @param readFile Reads a file that a `*_FILE` variable or SITE_LOGO names.
 * @throws UsageError that lists every problem at once, each with the variable's name and what to do.
 */
export function parseConfig(env: Record<string, string | undefined>, readFile: ReadFile): Config {
  const readText = (path: string) => Buffer.from(readFile(path)).toString()
  const problems: string[] = []
  const raw: Record<string, string> = {}
  /** The variable that each key was read from, for error messages. */
  const names: Record<string, string> = {}
  for (const key of Object.keys(configSchema.shape)) {
    const found = readVariable(env, key, readText)
    if (!found) continue
    names[key] = found.name
    if ('problem' in found) problems.push(`${found.name} ${found.problem}`)
    else raw[key] = found.value
  }
  const { data: logoPath } = logo.optional().safeParse(raw.SITE_LOGO)
  const logoFile = logoPath && findLogoProblem(logoPath, readFile)
  if (logoFile) problems.push(`${names.SITE_LOGO} ${logoFile}`)
  const parsed = configSchema.safeParse(raw)
  if (!parsed.success) {
    for (const issue of parsed.error.issues) problems.push(`${names[String(issue.path[0])]} ${issue.message}`)
  }
  const need = (key: keyof Parsed, when: boolean, why: string) => {
    if (when && !names[key]) problems.push(`${key} is missing: ${why}`)
  }
  for (const { needed, optional } of PROVIDERS) {
    const given = [...needed, ...optional].find(key => names[key])
    if (given) for (const key of needed) need(key, true, `it is required with ${names[given]}`)
  }
  need(
    'AUTH_SECRET',
    raw.DATABASE_URL !== undefined,
    'it is required with DATABASE_URL, with the same value on every replica; generate one with: openssl rand -base64 48',
  )
  if (parsed.data && !parsed.data.ALLOW_HTTP && isClear(parsed.data.BASE_URL))
    problems.push(
      `${names.BASE_URL} is plain http, so anybody on the way can read tokens: put a TLS proxy in front and use its https address, or set ALLOW_HTTP=true in a network that you trust`,
    )
  need(
    'NOTIFY_SECRET',
    raw.NOTIFY_URL !== undefined,
    'it signs the notices; generate one with: echo whsec_$(openssl rand -base64 32)',
  )
  need('NOTIFY_URL', raw.NOTIFY_SECRET !== undefined, 'it is required with NOTIFY_SECRET')
  need(
    'NOTIFY_URL',
    raw.NOTIFY_SECRET === undefined && raw.NOTIFY_EVENTS !== undefined && !isDefaultNotices(raw.NOTIFY_EVENTS),
    'it is required with NOTIFY_EVENTS',
  )
  need('INITIAL_ACCESS_TOKEN', raw.REGISTRATION === 'token', 'it is required with REGISTRATION=token')
  if (problems.length > 0 || !parsed.success) {
    throw new UsageError(
      `The configuration has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:\n${problems.map(p => `  - ${p}`).join('\n')}`,
    )
  }
  const { BASE_URL, PORT, SHUTDOWN_GRACE, DATABASE_URL } = parsed.data
  return {
    ...parsed.data,
    BASE_URL: BASE_URL ?? `http://localhost:${PORT}`,
    SHUTDOWN_GRACE: SHUTDOWN_GRACE ?? defaultGrace(DATABASE_URL),
  }
}

function findLogoProblem(path: string, readFile: ReadFile): string | undefined {
  try {
    return logoProblem(Buffer.byteLength(readFile(path)))
  } catch (error) {
    return `cannot be read (${(error as { code?: string }).code ?? 'unknown error'})`
  }
}

/** The variables that each sign-in provider requires once any of them is set. */
const PROVIDERS: readonly { needed: readonly (keyof Parsed)[]; optional: readonly (keyof Parsed)[] }[] = [
  { needed: ['GOOGLE_CLIENT_ID', 'GOOGLE_CLIENT_SECRET'], optional: [] },
  { needed: ['GITHUB_CLIENT_ID', 'GITHUB_CLIENT_SECRET'], optional: [] },
  { needed: ['OIDC_ISSUER', 'OIDC_CLIENT_ID'], optional: ['OIDC_CLIENT_SECRET'] },
]

/** An empty variable counts as not set, so that `.env.example` can be copied unchanged. */
export function readVariable(
  env: Record<string, string | undefined>,
  key: string,
  readFile: (path: string) => string,
): { name: string; value: string } | { name: string; problem: string } | undefined {
  for (const name of ALIASES[key] ? [key, ALIASES[key]] : [key]) {
    const value = env[name]
    if (value) return { name, value }
    const path = env[`${name}_FILE`]
    if (!path) continue
    try {
      const text = readFile(path).trim()
      return text ? { name, value: text } : { name: `${name}_FILE`, problem: 'names a file that is empty' }
    } catch (error) {
      // The path stays out of the message: it may be the secret itself, put into the wrong variable.
      const reason = (error as { code?: string }).code ?? 'unknown error'
      return { name: `${name}_FILE`, problem: `names a file that cannot be read (${reason})` }
    }
  }
  return undefined
}

/** Whether the server can be reached over an unencrypted network at this address. */
function isClear(baseUrl: string | undefined): boolean {
  const url = URL.parse(baseUrl ?? '')
  return url?.protocol === 'http:' && !isLoopbackHost(url.hostname)
}

/**
 * Variables that look like a misspelt one of ours, such as `ADMIN_EMAIL`.
 *
 * @returns a sentence for each.
 */
export function misspeltVariables(env: Record<string, string | undefined>): string[] {
  const known = Object.keys(configSchema.shape).filter(key => key.includes('_'))
  return Object.keys(env).flatMap(name => {
    const [, plain = name, file = ''] = /^(.*?)(_FILE)?$/.exec(name) ?? []
    const meant = known.find(key => withoutEnding(key) === withoutEnding(plain.toUpperCase()))
    return meant && meant !== plain ? [`${name} is not a setting of this server; use ${meant}${file}`] : []
  })
}

/** Singular and plural, with and without separators, are the same word. */
function withoutEnding(name: string): string {
  return name.replaceAll(/[_-]/g, '').replace(/S$/, '')
}
