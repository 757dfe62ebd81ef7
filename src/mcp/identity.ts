/** What the hub says of itself. */
import packageJson from '../../package.json' with { type: 'json' }

export const SERVER_INFO = { name: packageJson.name, version: packageJson.version, title: 'MCP OAuth server' }

export const INSTRUCTIONS =
  'Tools about the connection itself: who is connected, which other apps are, and how to disconnect one.'
