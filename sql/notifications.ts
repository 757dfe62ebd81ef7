/**
 * The channel on which replicas and commands tell each other: `revoked <subject>`, `client <id>`,
 * `user <id>`, `keys`.
 */
export const CHANNEL = 'mcp_oauth_server'

/** The channel on which servers hear of accepted tools: `trusted <upstream>`. */
export const UPSTREAM_CHANNEL = 'mcp_oauth_server_upstreams'
