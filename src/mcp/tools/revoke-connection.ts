import { z } from 'zod'
import { AppError } from '../../lib/errors.ts'
import { revokeGrant } from '../../oauth/tokens.ts'
import type { Tool } from './tool.ts'

export const revokeConnection: Tool = {
  name: 'revoke_connection',
  title: 'Disconnect an app',
  description:
    "Disconnects one of the signed-in user's apps at once: its access and refresh tokens stop working. Use it when the user wants to remove an app's access. Get the id from list_connections.",
  input: z.object({ id: z.uuid().describe("The connection's id, from list_connections") }),
  output: z.object({ revoked: z.boolean() }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  scopes: ['connections:manage'],
  forUsers: true,
  async call(deps, caller, input) {
    const revoked = await revokeGrant(deps, { grantId: String(input.id), userId: caller.userId!, by: 'user' })
    if (!revoked)
      throw new AppError(
        'There is no such connection',
        'It may have ended already; get the current ids from list_connections.',
      )
    return { revoked }
  },
}
