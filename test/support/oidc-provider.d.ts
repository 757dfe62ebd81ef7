// What the tests use of the package, which has no types.
declare module 'oidc-provider' {
  import type { RequestListener } from 'node:http'

  interface AccessToken {
    accountId: string
    clientId: string
    scope: string
    /** Seconds since 1970. */
    exp: number
    aud: string
  }
  export default class Provider {
    constructor(issuer: string, configuration: Record<string, unknown>)
    callback(): RequestListener
    on(event: 'grant.success', listener: (context: { oidc: { params: { grant_type: string } } }) => void): this
    AccessToken: { find(token: string): Promise<AccessToken | undefined> }
  }
}
