/**
 * The notification channel of replicas and commands. Payloads: `revoked <subject>`, `client <id>`, `user <id>`, `keys`.
 */
export const CHANNEL = 'mcp_oauth_server'

/**
 * The notification channel for upstreams. Payloads: `trusted <upstream>` (changed tools were accepted),
 * `linked <user id> <upstream>` (an account was linked or unlinked), `refreshed <user id> <upstream>`.
 */
export const UPSTREAM_CHANNEL = 'mcp_oauth_server_upstreams'

/** The channel for messages of MCP sessions that another replica waits for: `<session> <id>`. */
export const SESSION_CHANNEL = 'mcp_oauth_server_sessions'
