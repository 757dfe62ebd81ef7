/** What the hub says of itself, and of a client that says nothing. */
import packageJson from '../../package.json' with { type: 'json' }

export const SERVER_INFO = { name: packageJson.name, version: packageJson.version, title: 'MCP OAuth server' }

export const INSTRUCTIONS =
  'Tools about the connection itself: who is connected, which other apps are, and how to disconnect one.'

/** A client that does not say who it is: upstream servers insist on a name and a version. */
export const UNKNOWN_CLIENT = { name: 'unknown', version: '0' }
