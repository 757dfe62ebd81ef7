/** Bun's limit of concurrent outgoing requests. It is 256, and each client of an upstream over HTTP may hold a stream open. */
const VARIABLE = 'BUN_CONFIG_MAX_HTTP_REQUESTS'
const LIMIT = '16384'

/**
 * Raises the limit for a server with upstreams, unless it is set. Bun reads it when the process starts, so the program is
 * executed again, in the same process. Call it before anything is opened.
 *
 * @param startedIn The directory that the program was started in, to which its arguments are relative.
 */
export function raiseRequestLimit(startedIn: string): void {
  const { argv, env, execArgv, execPath } = process
  if ((!env.MCP_SERVERS && !env.MCP_SERVERS_FILE) || env[VARIABLE] !== undefined) return
  const directory = process.cwd()
  const [, script = '', ...args] = argv
  const program = script.startsWith('/$bunfs/') ? [] : [...execArgv, script]
  try {
    process.chdir(startedIn)
    process.execve?.(execPath, [execPath, ...program, ...args], { ...env, [VARIABLE]: LIMIT })
  } catch {
    // Not on this system: the limit stays as it is.
  }
  process.chdir(directory)
}
