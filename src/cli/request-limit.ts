/** Bun's limit of concurrent outgoing requests. It is 256, and each client of an upstream over HTTP may hold a stream open. */
const VARIABLE = 'BUN_CONFIG_MAX_HTTP_REQUESTS'
const LIMIT = '16384'

/**
 * Raises the limit for a server with upstreams, unless it is set. Bun reads it when the process starts, so the program is
 * executed again, in the same process. Call it before anything is opened.
 */
export function raiseRequestLimit(): void {
  const { argv, env, execArgv, execPath } = process
  if (!env.MCP_SERVERS || env[VARIABLE] !== undefined) return
  const [, script = '', ...args] = argv
  const program = script.startsWith('/$bunfs/') ? [] : [...execArgv, script]
  try {
    process.execve?.(execPath, [execPath, ...program, ...args], { ...env, [VARIABLE]: LIMIT })
  } catch {
    // Not on this system: the limit stays as it is.
  }
}
