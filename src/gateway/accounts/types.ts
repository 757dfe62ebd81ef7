/** What the pages of a person ask about their accounts at upstream servers. */

/** Whose trip to an authorization server it is: nobody else's browser ends it. */
export interface Traveller {
  userId: string
  sessionHash: Uint8Array
  ip: string | null
}

export interface Person {
  id: string
  email: string
}

/** A server that a person may link an account at, or has. */
export interface LinkableServer {
  name: string
  /** Where its tokens go. */
  host: string
  state: 'linked' | 'wants_more' | 'not_linked' | 'ended'
  account: string | null
  scope: string[]
  linkedAt: Date | undefined
  usedAt: Date | null
}

/** What a person is asked before they go to the upstream's authorization server. */
export interface LinkQuestion {
  name: string
  host: string
  /** Of the authorization server. */
  signInHost: string
  scope: string[]
}

export interface PersonAccounts {
  list(person: Person): Promise<LinkableServer[]>
  /** Whether a link that a client was given is this person's. */
  isFor(person: Person, tag: string): boolean
  /** @throws AppError 404 if there is nothing to link. */
  question(person: Person, name: string): Promise<LinkQuestion>
  /** @returns where the browser goes. @throws AppError */
  begin(person: Person, traveller: Traveller, name: string): Promise<URL>
  /** @param params Of the callback. @throws AppError: nothing is linked then. */
  finish(person: Person, traveller: Traveller, name: string, params: URLSearchParams): Promise<void>
  unlink(person: Person, name: string, ip: string | null): Promise<void>
  /** The client id metadata document. */
  document(): Record<string, unknown>
}
