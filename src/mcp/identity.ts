/** The hub's server info and instructions, and the default client info. */
import packageJson from '../../package.json' with { type: 'json' }

export const SERVER_INFO = { name: packageJson.name, version: packageJson.version, title: 'MCP OAuth server' }

export const INSTRUCTIONS =
  'The built-in tools are about the connection: who is signed in, and which apps are connected as that user.'

/** For a client without client info: upstream servers require a name and a version. */
export const UNKNOWN_CLIENT = { name: 'unknown', version: '0' }
