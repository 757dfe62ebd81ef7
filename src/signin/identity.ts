/** Converts and validates identities from providers. Makes no requests. */
import { z } from 'zod'
import { AppError } from '../lib/errors.ts'
import { printableText } from '../lib/text.ts'

/** A user as a provider identifies them, by issuer and subject; the address is for admission and display. */
export interface ExternalIdentity {
  issuer: string
  subject: string
  email: string
  emailVerified: boolean
  name: string
}

/**
 * ASCII only, because addresses are compared case-insensitively, which in other alphabets can turn one address into
 * another (`\u212A`, the Kelvin sign, becomes `k`). Providers send internationalised domains in ASCII (`xn--`).
 */
const emailSchema = z
  .string()
  .max(254)
  .regex(/^[\x21-\x3f\x41-\x7e]+@[\x21-\x3f\x41-\x7e]+$/)

/** OpenID Connect Core 1.0, section 2: at most 255 ASCII characters. */
const subjectSchema = z.string().regex(/^[\x20-\x7e]{1,255}$/)

const claimsSchema = z.object({
  sub: subjectSchema,
  email: emailSchema,
  // Google and most others send a boolean, some a string.
  email_verified: z.union([z.boolean(), z.enum(['true', 'false']).transform(value => value === 'true')]).optional(),
  name: z.string().nullish(),
  preferred_username: z.string().nullish(),
})

/** Reads the identity from the claims of an id token or userinfo (OpenID Connect Core 5.1). @throws AppError if they are invalid. */
export function identityFromClaims(issuer: string, raw: unknown): ExternalIdentity {
  const claims = claimsSchema.safeParse(raw)
  if (!claims.success) throw refused(`invalid claims: ${fields(claims.error)}`)
  const { sub, email, email_verified, name, preferred_username } = claims.data
  return {
    issuer,
    subject: sub,
    email,
    emailVerified: email_verified === true,
    name: printableText(name || preferred_username || '', 100),
  }
}

const gitHubUserSchema = z.object({ id: z.number().int().positive(), login: z.string(), name: z.string().nullish() })
const gitHubEmailsSchema = z.array(z.object({ email: z.string(), primary: z.boolean(), verified: z.boolean() }))

/** Reads the identity from GitHub's `/user` and `/user/emails`, with the primary address. @throws AppError if there is none. */
export function identityFromGitHub(rawUser: unknown, rawEmails: unknown): ExternalIdentity {
  const user = gitHubUserSchema.safeParse(rawUser)
  if (!user.success) throw refused(`invalid GitHub user: ${fields(user.error)}`)
  const emails = gitHubEmailsSchema.safeParse(rawEmails)
  if (!emails.success) throw refused(`invalid GitHub addresses: ${fields(emails.error)}`)
  const primary = emails.data.find(email => email.primary)
  const email = emailSchema.safeParse(primary?.email)
  if (!primary || !email.success) throw refused('the GitHub account has no usable primary address')
  return {
    issuer: 'https://github.com',
    // The number, not the login, which can be released and taken by somebody else.
    subject: String(user.data.id),
    email: email.data,
    emailVerified: primary.verified,
    name: printableText(user.data.name || user.data.login, 100),
  }
}

/** The error for an invalid answer from the provider. */
export function refused(detail: string): AppError {
  return new AppError(
    'The sign-in failed',
    'Start again. If it fails again, tell the operator of this server when it happened.',
    { status: 403, detail },
  )
}

/** The names of the invalid fields, without their values. */
function fields(error: z.ZodError): string {
  return error.issues.map(issue => issue.path.join('.')).join(', ')
}
