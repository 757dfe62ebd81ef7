/** What providers say of a person, checked and brought into one shape. No requests are made here. */
import { z } from 'zod'
import { AppError } from '../lib/errors.ts'
import { printableText } from '../lib/text.ts'

/** Whom a provider vouches for. Identity is the pair of issuer and subject; the address is for admission and display. */
export interface ExternalIdentity {
  issuer: string
  subject: string
  email: string
  emailVerified: boolean
  name: string
}

/**
 * ASCII only, because addresses are compared without case: in other alphabets that turns one address into another
 * (`\u212A`, the Kelvin sign, becomes `k`). Internationalised domains are ASCII as providers send them (`xn--`).
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

/** The identity in an id token's or userinfo's claims (OpenID Connect Core 5.1). @throws AppError if it names no address. */
export function identityFromClaims(issuer: string, raw: unknown): ExternalIdentity {
  const claims = claimsSchema.safeParse(raw)
  if (!claims.success) throw refused(`the claims are not good: ${fields(claims.error)}`)
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

/** The identity in GitHub's answers to `/user` and `/user/emails`: its primary address. @throws AppError if it has none. */
export function identityFromGitHub(rawUser: unknown, rawEmails: unknown): ExternalIdentity {
  const user = gitHubUserSchema.safeParse(rawUser)
  if (!user.success) throw refused(`GitHub's user is not good: ${fields(user.error)}`)
  const emails = gitHubEmailsSchema.safeParse(rawEmails)
  if (!emails.success) throw refused(`GitHub's addresses are not good: ${fields(emails.error)}`)
  const primary = emails.data.find(email => email.primary)
  const email = emailSchema.safeParse(primary?.email)
  if (!primary || !email.success) throw refused('the GitHub account has no primary address that can be used')
  return {
    issuer: 'https://github.com',
    // The number, not the login: a login can be given up and taken by somebody else.
    subject: String(user.data.id),
    email: email.data,
    emailVerified: primary.verified,
    name: printableText(user.data.name || user.data.login, 100),
  }
}

/** The provider's answer is not good enough to let anybody in. */
export function refused(detail: string): AppError {
  return new AppError(
    'The sign-in did not succeed',
    'Start again. If it fails once more, tell the operator of this server when it happened.',
    { status: 403, detail },
  )
}

/** Which fields were wrong, never their values. */
function fields(error: z.ZodError): string {
  return error.issues.map(issue => issue.path.join('.')).join(', ')
}
