/** The interface of linked accounts for the account pages. */

/** The user and browser session of a trip, which only that session can complete. */
export interface Traveller {
  userId: string
  sessionHash: Uint8Array
  ip: string | null
}

export interface Person {
  id: string
  email: string
}

/** A server at which a user has linked, or can link, an account. */
export interface LinkableServer {
  name: string
  /** The host that gets its tokens. */
  host: string
  state: 'linked' | 'wants_more' | 'not_linked' | 'ended'
  account: string | null
  scope: string[]
  linkedAt: Date | undefined
  usedAt: Date | null
}

/** What the user confirms before going to the upstream's authorization server. */
export interface LinkQuestion {
  name: string
  host: string
  /** Host of the authorization server. */
  signInHost: string
  /** The issuer that the account was linked at, if the upstream names another one now. */
  issuerBefore: string | undefined
  scope: string[]
}

export interface PersonAccounts {
  list(person: Person): Promise<LinkableServer[]>
  /** Whether a link that a client got was made for this user. */
  isFor(person: Person, tag: string): boolean
  /** @throws AppError 404 if the user cannot link an account there. */
  question(person: Person, name: string): Promise<LinkQuestion>
  /** @returns the URL to send the browser to. @throws AppError */
  begin(person: Person, traveller: Traveller, name: string): Promise<URL>
  /** @param params Of the callback. @throws AppError if nothing was linked. */
  finish(person: Person, traveller: Traveller, name: string, params: URLSearchParams): Promise<void>
  unlink(person: Person, name: string, ip: string | null): Promise<void>
  /** Our client id metadata document. */
  document(): Record<string, unknown>
}
