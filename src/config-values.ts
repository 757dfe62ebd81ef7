/** The kinds of values that settings have. */
import { isIP } from 'node:net'
import { extname } from 'node:path'
import { z } from 'zod'
import { AUDIT_EVENTS } from './audit/catalogue.ts'
import { contrast } from './lib/colours.ts'
import { isLoopbackHost } from './lib/networks.ts'

/** A boolean, with the spellings common in environment files. */
export const flag = (fallback: boolean) =>
  z
    .enum(['true', 'false', '1', '0', 'yes', 'no'], { error: 'must be true or false' })
    .transform(value => value === 'true' || value === '1' || value === 'yes')
    .default(fallback)

export const LONG_SECRET = 'must have at least 32 characters; generate one with: openssl rand -base64 48'

/** The largest ACCESS_TOKEN_TTL, in seconds. */
export const LONGEST_ACCESS_TOKEN_TTL = 86_400

export const list = z
  .string()
  .transform(value =>
    value
      .split(/[\s,]+/)
      .filter(Boolean)
      .map(item => item.toLowerCase()),
  )
  .default([])

export const duration = (min: number, max: number) =>
  z.coerce
    .number({ error: `must be a number of seconds from ${min} to ${max}` })
    .int({ error: 'must be a whole number of seconds' })
    .min(min, { error: `must be at least ${min} seconds` })
    .max(max, { error: `must be at most ${max} seconds` })

export const seconds = (fallback: number, min: number, max: number) => duration(min, max).default(fallback)

export const port = z.coerce
  .number({ error: 'must be a port number' })
  .int({ error: 'must be a port number' })
  .min(1, { error: 'must be a port number from 1 to 65535' })
  .max(65535, { error: 'must be a port number from 1 to 65535' })

export const httpUrl = z.string().refine(isHttpUrl, { error: 'must be an http or https URL without query or fragment' })

/** Every route is at the root of its host, so a path would make every URL in our responses wrong. */
export const baseUrl = z.string().refine(value => isHttpUrl(value) && URL.parse(value)?.pathname === '/', {
  error: 'must be an http or https URL without a path, such as https://mcp.example.com',
})

export const emails = list.refine(items => items.every(item => /^[^@]+@[^@]+$/.test(item)), {
  error: 'must be e-mail addresses, separated by commas',
})

export const domains = list.refine(items => items.every(item => /^[^@*]+$/.test(item)), {
  error: 'must be domains such as example.com, without @ or *, separated by commas',
})

/** RFC 8707 2: absolute, without a fragment. Not lowercased, since paths are case-sensitive. */
export const resources = z
  .string()
  .transform(value => value.split(/[\s,]+/).filter(Boolean))
  .default([])
  .refine(items => items.every(item => /^https?:\/\/[^#]+$/.test(item) && URL.canParse(item)), {
    error: 'must be http or https URLs without a fragment, separated by commas',
  })

/** As browsers write them into the Origin header: of a website, or of an app or extension that has a scheme of its own. */
export const origins = list
  .refine(items => items.every(isOrigin), {
    error: 'must be origins such as https://app.example.com, without a path, separated by commas',
  })
  .transform(items => items.map(item => (/^https?:/.test(item) ? new URL(item).origin : item.replace(/\/$/, ''))))

export const cidr = list.refine(items => items.every(isNetwork), {
  error: 'must be IP addresses or networks such as 10.0.0.0/8, separated by commas',
})

/** The accent is a background of white text, and the colour of links on the pages' background. */
export const accent = z
  .string()
  .regex(/^#?[0-9a-f]{6}$/i, { error: 'must be a colour such as 2457d6' }) // in .env files, # begins a comment
  .transform(value => value.replace('#', '').toLowerCase())
  .refine(value => contrast(`#${value}`, LIGHT_PAPER) >= 4.5, {
    error: 'has too little contrast with a white background (WCAG 2.2 asks for 4.5 to 1); use a darker colour',
  })

/** The background of pages in the light theme, as in style.css. */
const LIGHT_PAPER = '#f4f6f9'

/** Where notices go: https, or this machine. Its path may be a secret. */
export const noticeUrl = z.string().refine(
  value => {
    const url = URL.parse(value)
    return url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopbackHost(url.hostname))
  },
  { error: 'must be an https URL' },
)

const DEFAULT_NOTICES = [
  ...['device.fetched', 'authorization.exchanged', 'client.registered', 'refresh.reused', 'user.refused'],
  ...['upstream.down', 'upstream.tools_changed', 'key.rotated'],
]

export const noticeEvents = list.default(DEFAULT_NOTICES).superRefine((names, { addIssue }) => {
  const unknown = names.filter(name => !Object.hasOwn(AUDIT_EVENTS, name))
  if (unknown.length > 0)
    addIssue(
      `names no event of the audit log: ${unknown.join(', ')}; there are ${Object.keys(AUDIT_EVENTS).join(', ')}`,
    )
})

/** Whether a value is the default, which `.env.example` spells out. */
export const isDefaultNotices = (text: string) => text === DEFAULT_NOTICES.join(',')

/** Media types of logos by the ending of their files. */
export const LOGO_TYPES: Readonly<Record<string, string>> = {
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webp': 'image/webp',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
}
/** Every page loads it. */
const LOGO_LIMIT = 64 * 1024

export const logo = z.string().refine(path => LOGO_TYPES[extname(path).toLowerCase()] !== undefined, {
  error: `must be a file that ends in ${Object.keys(LOGO_TYPES).join(', ')}`,
})

/** @returns what is wrong with the file of a logo. */
export function logoProblem(size: number): string | undefined {
  if (size <= LOGO_LIMIT) return undefined
  return `has ${Math.ceil(size / 1024)} KB; every page loads it, so it may have 64 KB`
}

/** As Standard Webhooks writes secrets: 24 to 64 bytes. */
export const webhookSecret = z.string().refine(
  value => {
    const bytes = Buffer.from(value.replace('whsec_', ''), 'base64').length
    return /^whsec_[A-Za-z0-9+/]+=*$/.test(value) && bytes >= 24 && bytes <= 64
  },
  { error: 'must be whsec_ and 24 to 64 bytes in base64; generate one with: echo whsec_$(openssl rand -base64 32)' },
)

function isHttpUrl(value: string): boolean {
  const url = URL.parse(value)
  return !!url && /^https?:$/.test(url.protocol) && !url.search && !url.hash && !url.username
}

function isOrigin(value: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\/[^/?#@*\s]+\/?$/.test(value) && URL.canParse(value)
}

function isNetwork(value: string): boolean {
  const [address, bits, more] = value.split('/')
  const version = isIP(address ?? '')
  if (version === 0 || more !== undefined) return false
  return bits === undefined || (/^\d+$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
}
