import { z } from 'zod'
import { type KnownUser, lookUpClient, lookUpUser } from '../../oauth/memory.ts'
import { PERSONAL_TOKEN } from '../../oauth/principal.ts'
import { type Caller, gatewayCaller } from '../caller.ts'
import { READ_ONLY, type Tool, type ToolDeps } from './tool.ts'

export const whoami: Tool = {
  name: 'whoami',
  title: 'Who am I',
  description:
    'Returns the signed-in user, the client, the granted scopes, and the servers that do not work at the moment. Use it to find out who this connection acts for and what it may do.',
  input: z.object({}),
  output: z.object({
    user: z
      .object({ id: z.string(), email: z.string(), name: z.string(), admin: z.boolean() })
      .nullable()
      .describe('null for a machine'),
    client: z.object({ id: z.string(), name: z.string() }),
    scope: z.array(z.string()),
    resource: z.string().describe('URL of the MCP endpoint that the token is valid for'),
    expires_at: z.string().describe('When the access token expires, ISO 8601'),
    unavailable_servers: z
      .array(
        z.object({
          name: z.string(),
          reason: z.string(),
          retry_at: z.string().optional().describe('When the next attempt is allowed, ISO 8601; absent: now'),
        }),
      )
      .optional()
      .describe('Servers behind this one that the connection may use, but that do not work at the moment'),
  }),
  annotations: READ_ONLY,
  scopes: [],
  forUsers: false,
  call(deps, caller) {
    const { clientId, userId } = caller
    const client = clientId === PERSONAL_TOKEN ? { name: 'Personal access token' } : lookUpClient(deps, clientId)
    const user = userId === null ? undefined : lookUpUser(deps, userId)
    if (client instanceof Promise || user instanceof Promise)
      return Promise.all([client, user]).then(([client, user]) => describe(deps, caller, client, user))
    return describe(deps, caller, client, user)
  },
}

function describe(
  { gateway }: ToolDeps,
  caller: Caller,
  client: { name: string } | undefined,
  user: KnownUser | undefined,
): Record<string, unknown> {
  const away = gateway?.away(gatewayCaller(caller)) ?? []
  return {
    user: user ? { id: caller.userId, email: user.email, name: user.name, admin: user.isAdmin } : null,
    client: { id: caller.clientId, name: client?.name ?? '' },
    scope: [...caller.scope],
    resource: caller.audience,
    expires_at: new Date(caller.expiresAt * 1000).toISOString(),
    ...(away.length > 0
      ? {
          unavailable_servers: away.map(({ name, reason, retryAt }) => ({
            name,
            reason: `The server "${name}" ${reason}`,
            ...(retryAt ? { retry_at: retryAt.toISOString() } : {}),
          })),
        }
      : {}),
  }
}
