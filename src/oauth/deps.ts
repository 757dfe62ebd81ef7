import type { Base } from '../base.ts'
import type { Memory } from './memory.ts'
import type { Resources } from './resources.ts'
import type { Scopes } from './scopes.ts'

/** Dependencies of the authorization server's endpoints and services. */
export interface OAuthDeps extends Base {
  /** The state of this replica, in memory. */
  memory: Memory
  scopes: Scopes
  resources: Resources
}
