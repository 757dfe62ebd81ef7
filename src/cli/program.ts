/** The commands with their options and help. What a command does is in a module beside this one, loaded when it runs. */
import { Argument, Command, CommanderError, Help } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { completionScript } from './completion.ts'
import { examplesOf } from './examples.ts'
import { collect, group, json, NAME } from './options.ts'
import { defineOperation } from './program-operate.ts'
import { print } from './terminal.ts'

/** Before `-C`. */
const STARTED_IN = process.cwd()

/** Builds the program. Nothing is read or opened before a command runs. */
export function openProgram(): Command {
  const program = new Command(NAME)
    .description('An OAuth authorization server made for MCP')
    .version(packageJson.version, '-v, --version', 'Print the version')
    .helpOption('-h, --help', 'Show help')
    .option('-C, --directory <dir>', 'Use the configuration and data of this directory')
    .option('--env-file <file>', 'Read the configuration from this file (repeatable)', collect)
    .hook('preAction', async command => {
      const { directory, envFile = [] } = command.opts<{ directory?: string; envFile?: string[] }>()
      if (directory !== undefined || envFile.length > 0)
        (await import('./environment.ts')).setEnvironment(directory, envFile)
    })
    .showSuggestionAfterError()
    .exitOverride()
    .configureHelp({
      subcommandTerm: usage,
      // Lists all commands together; suggestions for a mistyped word are not made from this list.
      formatHelp(command, help) {
        if (!command.parent) help.visibleCommands = () => leaves(command)
        return Help.prototype.formatHelp.call(help, command, help)
      },
    })
  defineServer(program)
  defineClients(program)
  defineUsers(program)
  defineConnections(program)
  defineUpstreams(program)
  defineOperation(program)
  program
    .command('completion <shell>')
    .description('Print a script that completes commands in bash, zsh or fish')
    .action((shell: string) => print(completionScript(program, shell)))
  program.addHelpText(
    'after',
    `
The configuration comes from the environment, or from a file .env in the current directory; see the README.
${NAME} COMMAND --help shows the options of a command.`,
  )
  for (const command of leaves(program))
    command.showHelpAfterError(`(${NAME} ${fullName(command)} --help shows the usage)`)
  for (const command of new Set([...program.commands, ...leaves(program)]))
    command.addHelpText('after', () => examplesOf(fullName(command)))
  return program
}

/**
 * Runs one command.
 *
 * @returns the exit code: 0, 2 for wrong usage, and undefined while the server runs. Other errors are thrown.
 */
export async function runProgram(args: readonly string[]): Promise<number | undefined> {
  const program = openProgram()
  let isServing = false
  program.hook('postAction', (_, command) => {
    isServing = command.name() === 'serve'
  })
  try {
    const { operands, unknown } = openProgram().parseOptions([...args])
    const isBare = operands.length === 0 && unknown.length === 0
    await program.parseAsync(isBare ? [...args, 'serve'] : [...args], { from: 'user' })
    return isServing ? undefined : 0
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    throw error
  }
}

function defineServer(program: Command): void {
  program
    .command('serve')
    .description('Start the server (the default)')
    .option('--port <port>', 'Port to listen on, as PORT')
    .option('--host <address>', 'Address to listen on, as HOST')
    .option('--data-dir <dir>', 'Directory of the embedded database, as DATA_DIR')
    .option('--config <file>', 'Read the configuration from this file, as --env-file')
    .action(async ({ config, ...options }) => {
      if (config !== undefined) (await import('./environment.ts')).setEnvironment(undefined, [config])
      ;(await import('./request-limit.ts')).raiseRequestLimit(STARTED_IN)
      await (await import('./serve.ts')).serve(options)
    })
  program
    .command('login')
    .argument('<url>')
    .addArgument(new Argument('[what]', 'What to do there').choices(['tools', 'call']))
    .argument('[tool]', 'The tool to call')
    .description('Sign in to any MCP server by device code, and list its tools or call one')
    .option('--save', 'Keep the connection for later calls, which renew it; otherwise it ends with the command')
    .option('--arg <name=value>', 'Argument of the tool (repeatable)', collect)
    .option('--args <file>', 'JSON object with arguments of the tool; - for standard input')
    .option('--client-id <id>', 'Use this client instead of registering one')
    .option('--secret-file <file>', 'File with the secret of that client; - for standard input')
    .option('--scope <scope>', 'Scope to request (repeatable; default: what the server asks for)', collect)
    .option('--ca <file>', 'Certificate (PEM) of a CA to trust')
    .option('--json', 'Print the tokens, or the tools or the result, on standard output; tokens stay valid')
    .action(async (url, action, tool, options) => (await import('./login.ts')).login(url, { action, tool, ...options }))
  program
    .command('logout <url>')
    .description('End the connection that login --save keeps')
    .action(async url => (await import('./login.ts')).logout(url))
  program
    .command('migrate')
    .description('Bring the database schema up to date, and exit')
    .action(async () => (await import('./migrate.ts')).migrateDatabase())
  program
    .command('status')
    .description('Show the configuration in effect, the database and what is missing for production')
    .addOption(json())
    .action(async options => (await import('./status.ts')).showStatus(options))
  program
    .command('doctor [url]')
    .description('Check this server, or any MCP server from outside: what is wrong, and how to fix it')
    .option('--client [id|name]', 'Show how far clients came that tried to connect, where each stopped, and why')
    .option('--idle <seconds>', 'How long a stream stays silent, to see whether a proxy cuts it (default: 16; here: 0)')
    .option('--ca <file>', 'Certificate (PEM) of a CA to trust')
    .addOption(json())
    .action(async (url, options) => (await import('./doctor.ts')).examine(url, options))
}

function defineClients(program: Command): void {
  const client = group(program, 'client', 'Clients that operators add')
  client
    .command('add <name>')
    .description('Add a client, and print its id and secret')
    .option(
      '--grant <type>',
      'device_code, refresh_token, authorization_code or client_credentials (repeatable; default: the first two, or refresh_token and authorization_code with --redirect-uri)',
      collect,
    )
    .option('--scope <scope>', 'Scope it may ask for (repeatable; default: mcp:tools:read and mcp:tools:call)', collect)
    .option('--redirect-uri <uri>', 'Where it may send its user’s browser (repeatable)', collect)
    .option('--confidential', 'Give it a secret: for a web app that can keep one')
    .option('--auth <method>', 'client_secret_basic, client_secret_post, private_key_jwt or none')
    .option('--jwks <file|url>', 'Its public keys, for private_key_jwt')
    .addOption(json())
    .action(async (name, options) => (await import('./client.ts')).add(name, options))
  client
    .command('list')
    .description('List the clients: id, who added it, grant types, scopes, name')
    .addOption(json())
    .action(async options => (await import('./client.ts')).list(options))
  client
    .command('show <id>')
    .description('Show everything that is known of a client')
    .addOption(json())
    .action(async (id, options) => (await import('./client.ts')).show(id, options))
  client
    .command('rotate-secret <id>')
    .description('Give a client a new secret; the old one stops working at once')
    .addOption(json())
    .action(async (id, options) => (await import('./client.ts')).rotateSecret(id, options))
  client
    .command('remove <id>')
    .description('Remove a client and end its connections')
    .action(async id => (await import('./client.ts')).remove(id))
}

function defineUsers(program: Command): void {
  const user = group(program, 'user', 'People who may sign in')
  const define = (name: string, description: string, isAdmin = false) => {
    const command = user.command(`${name} <email>`).description(description)
    if (isAdmin) command.option('--admin', 'As an administrator, who may see and end what others do')
    return command.action(async (email, options) => (await import('./user.ts')).change(name, email, options))
  }
  user
    .command('list')
    .description('List the users: address, role, state, last sign-in, name')
    .addOption(json())
    .action(async options => (await import('./user.ts')).list(options))
  user
    .command('show <email>')
    .description('Show what belongs to somebody: connections, tokens, passkeys, browsers')
    .addOption(json())
    .action(async (email, options) => (await import('./person.ts')).show(email, options))
  define('link', 'Print a one-time sign-in link', true)
  define('invite', 'Let somebody sign in with this address', true)
  define('promote', 'Make somebody an administrator')
  define('demote', 'Take the administrator role away, and disconnect apps with the admin scope')
  define('disable', 'Sign somebody out, end their connections and block their sign-in')
  define('enable', 'Let them in again')
  define('remove', 'Remove somebody with everything that is theirs').option('--yes', 'Do not ask')
}

function defineConnections(program: Command): void {
  const connection = group(program, 'connection', 'Apps that are connected as somebody')
  connection
    .command('list')
    .description('List the connections: id, user, client, scopes, resource, last use, name')
    .option('--user <email>', 'Only those of this user')
    .option('--client <id>', 'Only those of this client')
    .addOption(json())
    .action(async options => (await import('./connection.ts')).list(options))
  connection
    .command('rename <id> <name>')
    .description('Name a connection, such as "laptop"; an empty name removes it')
    .action(async (id, name) => (await import('./connection.ts')).rename(id, name))
  connection
    .command('end [id...]')
    .description('End connections: their tokens stop working within a second')
    .option('--user <email>', 'All of this user')
    .option('--client <id>', 'All of this client')
    .action(async (ids, options) => (await import('./connection.ts')).end(ids, options))
}

function defineUpstreams(program: Command): void {
  const upstream = group(program, 'upstream', 'MCP servers behind this one')
  upstream
    .command('list')
    .description('Show the MCP servers behind this one: state, era, tools, errors')
    .addOption(json())
    .action(async options => (await import('./upstream.ts')).list(options))
  upstream
    .command('check [name]')
    .description('Test each of them, and say what is wrong')
    .addOption(json())
    .action(async (name, options) => (await import('./upstream.ts')).check(name, options))
  upstream
    .command('changes <name>')
    .description('Show changed tools of an upstream beside what was accepted')
    .addOption(json())
    .action(async (name, options) => (await import('./upstream.ts')).changes(name, options))
  upstream
    .command('trust <name>')
    .description('Accept the changed tools of an upstream')
    .action(async name => (await import('./upstream.ts')).trust(name))
  upstream
    .command('restart <name>')
    .description('End its processes and connections, and try it again at once')
    .action(async name => (await import('./upstream.ts')).restart(name))
}

/** The commands that do something, below their groups. */
export function leaves(command: Command): Command[] {
  return command.commands.flatMap(child => (child.commands.length > 0 ? leaves(child) : [child]))
}

export function fullName(command: Command): string {
  return command.parent?.parent ? `${command.parent.name()} ${command.name()}` : command.name()
}

function usage(command: Command): string {
  const words = command.registeredArguments.map(argument => {
    const name = `${argument.name().toUpperCase()}${argument.variadic ? '...' : ''}`
    return argument.required ? name : `[${name}]`
  })
  return [fullName(command), ...words].join(' ')
}
