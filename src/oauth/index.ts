/**
 * The authorization server. Each file is named for its endpoint or its part of the protocol:
 *
 * - `discovery` RFC 8414, RFC 9728, RFC 7517; `register` RFC 7591; `token` and `grants/` RFC 6749, RFC 8628;
 *   `device` RFC 8628 with its pages; `revoke` RFC 7009; `validate` for clients that ask about their own token.
 * - Services: `clients`, `device-requests`, `tokens`, `keys`; `replicas` is what a process keeps in memory of them.
 * - `model` has the vocabulary, `protocol` what the endpoints share on the wire.
 *
 * Who a person is lives in `signin/`; what a token opens lives in `mcp/`.
 */
import { Elysia } from 'elysia'
import type { Deps } from '../deps.ts'
import { device } from './device.ts'
import { discovery } from './discovery.ts'
import { register } from './register.ts'
import { revoke } from './revoke.ts'
import { token } from './token.ts'
import { validate } from './validate.ts'

export const oauth = (deps: Deps) =>
  new Elysia({ name: 'oauth' })
    .use(discovery(deps))
    .use(register(deps))
    .use(device(deps))
    .use(token(deps))
    .use(revoke(deps))
    .use(validate(deps))
