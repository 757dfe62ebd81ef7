import { z } from 'zod'
import { listConnections as findConnections } from '../../oauth/tokens.ts'
import { READ_ONLY, type Tool } from './tool.ts'

const connectionSchema = z.object({
  id: z.string(),
  client: z.object({ id: z.string(), name: z.string() }),
  name: z.string().optional().describe('What the user calls this connection'),
  scope: z.array(z.string()),
  resource: z.string(),
  connected_at: z.string(),
  last_renewed_at: z.string(),
  last_called_at: z.string().optional(),
  current: z.boolean().describe('Whether this is the connection of the calling app'),
})

const PAGE = 100
const inputSchema = z.object({
  cursor: z
    .string()
    .regex(/^\d{1,6}$/)
    .optional()
    .describe('The next_cursor of an earlier result, to continue from there'),
})

export const listConnections: Tool = {
  name: 'list_connections',
  title: 'List connected apps',
  description:
    'Returns the apps that are connected as the signed-in user, with the id, client, name, scopes, endpoint, last renewal and last call of each, the last used one first, a hundred at a time. Use it to see who has access, or to find an id for revoke_connection.',
  input: inputSchema,
  output: z.object({
    connections: z.array(connectionSchema),
    next_cursor: z.string().optional().describe('Cursor for more connections; absent if there are none'),
  }),
  annotations: READ_ONLY,
  scopes: [],
  forUsers: true,
  async call(deps, caller, input) {
    const from = Number((input as z.infer<typeof inputSchema>).cursor ?? 0)
    const found = await findConnections(deps, caller.userId!, { offset: from, limit: PAGE + 1 })
    return {
      ...(found.length > PAGE && { next_cursor: String(from + PAGE) }),
      connections: found.slice(0, PAGE).map(connection => ({
        id: connection.id,
        client: { id: connection.client_id, name: connection.client_name },
        ...(connection.label !== null && { name: connection.label }),
        scope: connection.scope,
        resource: connection.resource,
        connected_at: connection.created_at.toISOString(),
        last_renewed_at: connection.used_at.toISOString(),
        ...(connection.called_at && { last_called_at: connection.called_at.toISOString() }),
        current: connection.id === caller.grantId,
      })),
    }
  },
}
