/**
 * The channel on which replicas and commands tell each other: `revoked <subject>`, `client <id>`,
 * `user <id>`, `keys`.
 */
export const CHANNEL = 'mcp_oauth_server'
