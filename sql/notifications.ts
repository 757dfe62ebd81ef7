/**
 * The channel on which replicas and commands tell each other: `revoked <subject>`, `client <id>`,
 * `user <id>`, `keys`.
 */
export const CHANNEL = 'mcp_oauth_server'

/**
 * The channel on which servers hear of upstreams: `trusted <upstream>` (changed tools were accepted),
 * `linked <user id> <upstream>` (somebody's account there has come or gone), `refreshed <user id> <upstream>`.
 */
export const UPSTREAM_CHANNEL = 'mcp_oauth_server_upstreams'
