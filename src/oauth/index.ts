/**
 * The authorization server. Each file is named after its endpoint or its part of the protocol:
 *
 * - `discovery` RFC 8414, RFC 9728, RFC 7517; `register` RFC 7591; `authorize` RFC 6749 4.1 with the
 *   consent page; `device` RFC 8628 with its pages; `token` and `grants/` RFC 6749, RFC 7636, RFC 8628; `revoke`
 *   RFC 7009; `introspect` RFC 7662; `validate` for clients that check their own token.
 * - Services: `clients/`, `consents`, `device-requests`, `user-code-guesses`, `tokens`, `personal-tokens`, `keys`; `memory` caches them per replica.
 * - `scopes` and `resources` are built from the configuration; `principal` is what a token authenticates; `bearer` is the
 *   check of the MCP endpoints.
 *
 * Users are authenticated in `signin/`; what a token gives access to is in `mcp/`.
 */
import { Elysia } from 'elysia'
import type { DecisionDeps } from './asking.ts'
import { authorize } from './authorize.ts'
import { device } from './device.ts'
import { discovery } from './discovery.ts'
import { introspect } from './introspect.ts'
import { register } from './register.ts'
import { revoke } from './revoke.ts'
import { token } from './token.ts'
import { validate } from './validate.ts'

export const oauth = (deps: DecisionDeps) =>
  new Elysia({ name: 'oauth' })
    .use(discovery(deps))
    .use(register(deps))
    .use(authorize(deps))
    .use(device(deps))
    .use(token(deps))
    .use(revoke(deps))
    .use(introspect(deps))
    .use(validate(deps))
