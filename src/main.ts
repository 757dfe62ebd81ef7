#!/usr/bin/env bun
import packageJson from '../package.json' with { type: 'json' }
import { UsageError } from './lib/errors.ts'

const HELP = `mcp-oauth-server ${packageJson.version}: an OAuth authorization server made for MCP

Usage: mcp-oauth-server [command]

  serve                        Start the server (the default)
  login URL                    Sign in to any MCP server by device code, and call it
  client add NAME              Add a client          --grant TYPE  --scope SCOPE  --redirect-uri URI
  client list                  List the clients
  client remove ID             Remove a client and end its connections
  user link EMAIL              Print a one-time sign-in link   --admin
  user invite EMAIL            Let somebody sign in with this address   --admin
  user disable EMAIL           Sign somebody out, end their connections and let them in no more
  user enable EMAIL            Let them in again
  key rotate                   Sign with a new key; the old one stays valid for the tokens it signed
  migrate                      Bring the database schema up to date, and stop
  help, --version

Configuration comes from the environment; see .env.example or the README.`

/** Every command is a module with `run(args)`; only the one that is asked for is loaded. */
const COMMANDS: Record<string, () => Promise<{ run(args: string[]): Promise<void> }>> = {
  serve: () => import('./cli/serve.ts'),
  login: () => import('./cli/login.ts'),
  client: () => import('./cli/client.ts'),
  user: () => import('./cli/user.ts'),
  key: () => import('./cli/key.ts'),
  migrate: () => import('./cli/migrate.ts'),
}

const [name = 'serve', ...args] = process.argv.slice(2)
if (name === 'help' || name === '--help' || name === '-h') console.log(HELP)
else if (name === '--version' || name === '-v') console.log(packageJson.version)
else {
  try {
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
    if (!command) throw new UsageError(`There is no command "${name}"; see: mcp-oauth-server help`)
    await (await command()).run(args)
  } catch (error) {
    const { explain } = await import('./cli/environment.ts')
    console.error(explain(error))
    process.exit(1)
  }
}
