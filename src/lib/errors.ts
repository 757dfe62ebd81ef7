/**
 * The errors that services throw on purpose. Anything else that reaches the error boundary is a bug or an outage and is
 * answered without detail. `detail` is only for the operator's log.
 */

/** Error codes of RFC 6749 5.2, RFC 8628 3.5, RFC 7591 3.2.2, RFC 8707 2, RFC 6750 3.1 and
 * OpenID Connect Core 3.1.2.6 that this server returns. */
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
  /** HTTP status; default 400. */
  status?: number
  /** Extra response headers, such as WWW-Authenticate or Retry-After. */
  headers?: Record<string, string>
  /** For the operator's log, never for the wire. */
  detail?: string
}

/** Returned as the RFC 6749 5.2 object `{error, error_description}`. The description is ASCII and written by us. */
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

/** Shown as a page, or as JSON if the client asks for it: what happened and what to do next. */
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

/**
 * Nobody is signed in, or not recently enough (`again`): the error boundary redirects to the sign-in page, which returns to
 * `returnTo`.
 */
export class SignInRequired extends Error {
  constructor(
    readonly returnTo: string,
    readonly again = false,
  ) {
    super('sign-in required')
    this.name = 'SignInRequired'
  }
}

/** The database is unavailable or did not answer in time: 503 with Retry-After. */
export class DatabaseUnavailable extends Error {
  constructor(readonly detail: string) {
    super('database unavailable')
    this.name = 'DatabaseUnavailable'
  }
}

/** The database is available but the queue is too long: 503 like {@link DatabaseUnavailable}. */
export class DatabaseBusy extends DatabaseUnavailable {
  constructor(detail: string) {
    super(detail)
    this.name = 'DatabaseBusy'
  }
}

/** Incorrect use of a command or an invalid configuration: printed without a stack, exit code 1. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'UsageError'
  }
}

/** Another server does not answer: exit code 3. */
export class UnreachableError extends UsageError {}
