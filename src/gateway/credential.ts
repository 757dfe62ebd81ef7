/** What an upstream is told about who calls: asked for before every request, so that it may change while a connection lives. */
export interface Credential {
  /** The value of Authorization: at once while it is fresh. @throws UpstreamFailure if there is none. */
  header(): string | Promise<string>
  /** Another one, after the upstream has refused this (401). @returns nothing if there is no other. @throws UpstreamFailure */
  renewed(refused: string): Promise<string | undefined>
  /** The upstream wants more than it was given (403 `insufficient_scope`). @returns whether its owner can be asked for that. */
  wants(scope: readonly string[]): Promise<boolean>
}
