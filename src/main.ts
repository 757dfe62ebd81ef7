#!/usr/bin/env bun
import packageJson from '../package.json' with { type: 'json' }
import { UsageError } from './lib/errors.ts'

const HELP = `mcp-oauth-server ${packageJson.version}: an OAuth authorization server made for MCP

Usage: mcp-oauth-server [command]

  serve                        Start the server (the default)
  login URL                    Sign in to any MCP server by device code, and call it
      --json                   Print the tokens on standard output
      --client-id ID           Use this client instead of registering one
      --scope SCOPE            Scope to request (repeatable; default: what the server asks for)
  client add NAME              Add a client, and print its id and secret
      --grant TYPE             device_code, refresh_token, authorization_code or client_credentials (repeatable;
                               default: the first two, or refresh_token and authorization_code with --redirect-uri)
      --scope SCOPE            Scope it may request (repeatable; default: mcp:tools:read and mcp:tools:call)
      --redirect-uri URI       Where users return to after sign-in (repeatable)
      --confidential           Give it a secret (for a web app that can keep one)
      --auth METHOD            client_secret_basic, client_secret_post, private_key_jwt or none
      --jwks FILE|URL          Its public keys, for private_key_jwt
  client rotate-secret ID      Give a client a new secret; the old one stops working at once
  client list                  List the clients: id, who added it, grant types, scopes, name
  client remove ID             Remove a client and end its connections
  user link EMAIL              Print a one-time sign-in link   --admin
  user invite EMAIL            Let somebody sign in with this address   --admin
  user promote EMAIL           Make somebody an administrator
  user demote EMAIL            Remove an administrator, and disconnect their apps that have the scope admin
  user disable EMAIL           Block a user: sign them out, end their connections, refuse their sign-in
  user enable EMAIL            Let a disabled user sign in again
  upstream list                Show the MCP servers behind this one: state, era, tools, errors   --json
  upstream check [NAME]        Connect to each of them, and report problems   --json
  upstream trust NAME          Accept the changed tools of an upstream server
  key rotate                   Sign with a new key, five minutes after it is published; the old one stays
                               valid for the tokens it signed
      --revoke                 Sign with it at once, and refuse every earlier access token
  migrate                      Bring the database schema up to date, and exit
  help, --version

Configuration comes from the environment, or from a file .env in the current directory; see the README.`

/** Every command is a module with `run(args)`, loaded on demand. */
const COMMANDS: Record<string, () => Promise<{ run(args: string[]): Promise<void> }>> = {
  serve: () => import('./cli/serve.ts'),
  login: () => import('./cli/login.ts'),
  client: () => import('./cli/client.ts'),
  user: () => import('./cli/user.ts'),
  upstream: () => import('./cli/upstream.ts'),
  key: () => import('./cli/key.ts'),
  migrate: () => import('./cli/migrate.ts'),
}

const [name = 'serve', ...args] = process.argv.slice(2)
if (name === 'help' || [name, ...args].some(word => word === '--help' || word === '-h')) console.log(HELP)
else if (name === '--version' || name === '-v') console.log(packageJson.version)
else {
  try {
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
    if (!command) throw new UsageError(`There is no command "${name}"; see: mcp-oauth-server help`)
    await (await command()).run(args)
    // Exit even if something is still closing; `serve` keeps running.
    if (name !== 'serve') process.exit(0)
  } catch (error) {
    const { explain } = await import('./cli/environment.ts')
    console.error(explain(error))
    process.exit(1)
  }
}
