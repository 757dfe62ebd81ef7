import type { Permission } from '../../views/permissions.tsx'
import type { OAuthDeps } from '../oauth/deps.ts'

/** Scopes with their texts. */
export const permissionsOf = ({ scopes }: OAuthDeps, names: readonly string[]): Permission[] =>
  names.map(scope => ({ scope, text: scopes.text(scope) }))
