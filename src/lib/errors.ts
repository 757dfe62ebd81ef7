/**
 * The two kinds of error that services throw on purpose. Everything else that reaches the error boundary is a bug or
 * an outage and is answered without detail. `detail` is for the operator's log only and never leaves the machine.
 */

/** Error codes of RFC 6749 5.2, RFC 8628 3.5, RFC 7591 3.2.2, RFC 8707 2, RFC 6750 3.1 and
 * OpenID Connect Core 3.1.2.6 that this server answers with. */
export type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'invalid_scope'
  | 'invalid_target'
  | 'invalid_token'
  | 'insufficient_scope'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'unsupported_response_type'
  | 'access_denied'
  | 'login_required'
  | 'consent_required'
  | 'request_not_supported'
  | 'request_uri_not_supported'
  | 'authorization_pending'
  | 'slow_down'
  | 'expired_token'
  | 'invalid_redirect_uri'
  | 'invalid_client_metadata'
  | 'temporarily_unavailable'
  | 'server_error'

export interface ErrorOptions {
  /** HTTP status; 400 unless given. */
  status?: number
  /** Extra response headers, such as WWW-Authenticate or Retry-After. */
  headers?: Record<string, string>
  /** For the operator's log, never for the wire. */
  detail?: string
}

/** Answered as the RFC 6749 5.2 object `{error, error_description}`. The description is ASCII in our own words. */
export class OAuthError extends Error {
  readonly status: number
  readonly headers: Record<string, string>
  readonly detail: string | undefined

  constructor(
    readonly error: OAuthErrorCode,
    readonly description: string,
    options: ErrorOptions = {},
  ) {
    super(description)
    this.name = 'OAuthError'
    this.status = options.status ?? (error === 'invalid_client' || error === 'invalid_token' ? 401 : 400)
    this.headers = options.headers ?? {}
    this.detail = options.detail
  }
}

/** Answered as a page (or as JSON where the caller asked for it): what happened and what to do next. */
export class AppError extends Error {
  readonly status: number
  readonly headers: Record<string, string>
  readonly detail: string | undefined

  constructor(
    readonly title: string,
    readonly advice: string,
    options: ErrorOptions = {},
  ) {
    super(title)
    this.name = 'AppError'
    this.status = options.status ?? 400
    this.headers = options.headers ?? {}
    this.detail = options.detail
  }
}

/** Nobody is signed in: the boundary sends the browser to the sign-in page, and back to `returnTo` afterwards. */
export class SignInRequired extends Error {
  constructor(readonly returnTo: string) {
    super('sign-in required')
    this.name = 'SignInRequired'
  }
}

/** The database did not answer in time or is not there: 503 with Retry-After, and the client may try again. */
export class DatabaseUnavailable extends Error {
  constructor(readonly detail: string) {
    super('database unavailable')
    this.name = 'DatabaseUnavailable'
  }
}

/** The database is there, but so many wait for it that this had no turn in time: 503 like {@link DatabaseUnavailable}. */
export class DatabaseBusy extends DatabaseUnavailable {
  constructor(detail: string) {
    super(detail)
    this.name = 'DatabaseBusy'
  }
}

/** Wrong use of a command or a wrong configuration: printed without a stack, exit code 1. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'UsageError'
  }
}
