import type { Base } from '../base.ts'
import type { Memory } from './memory.ts'
import type { Resources } from './resources.ts'
import type { Scopes } from './scopes.ts'

/** What the services of the authorization server work with. */
export interface OAuthDeps extends Base {
  /** What this replica keeps in memory. */
  memory: Memory
  scopes: Scopes
  resources: Resources
}
