/**
 * A child for the gateway's process tests: answers JSON-RPC lines, and misbehaves as its first argument or a method
 * says. It knows no MCP.
 */
export {}

const [mode] = process.argv.slice(2)

const print = (value: unknown) => process.stdout.write(`${typeof value === 'string' ? value : JSON.stringify(value)}\n`)

/** Ignores the end of its input and SIGTERM, and has a child of the same kind. */
function stubborn(): number {
  process.on('SIGTERM', () => {})
  setInterval(() => {}, 1000)
  const script = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('ready')"
  const grandchild = Bun.spawn([process.execPath, '-e', script], { stdin: 'ignore', stdout: 'pipe', stderr: 'ignore' })
  return grandchild.pid
}

/** Writes as fast as the reader reads. */
async function flood(output: NodeJS.WriteStream, chunk: string, bytes: number): Promise<void> {
  for (let written = 0; written < bytes; written += chunk.length) {
    if (!output.write(chunk)) await new Promise(resolve => output.once('drain', resolve))
  }
}

const METHODS: Record<string, (params: Record<string, unknown>) => unknown> = {
  echo: params => params,
  environment: () => ({ ...process.env }),
  directory: () => ({ cwd: process.cwd() }),
  stubborn: () => ({ grandchild: stubborn() }),
  /** Starts a process that does not end, and ends with its own input. */
  helper: () => ({ grandchild: Bun.spawn(['sleep', '600'], { stdio: ['ignore', 'ignore', 'ignore'] }).pid }),
  stderr: ({ lines }) => {
    for (const line of lines as string[]) process.stderr.write(`${line}\n`)
    return {}
  },
  exit: ({ code }) => {
    process.stderr.write('giving up\n')
    process.exit(code as number)
  },
  closeStdout: () => {
    setInterval(() => {}, 1000)
    require('node:fs').closeSync(1)
  },
  print: ({ lines }) => {
    for (const line of lines as unknown[]) print(line)
    return undefined
  },
  silent: () => undefined,
}

if (mode === 'exit') {
  process.stderr.write('cannot start: no licence\n')
  process.exit(7)
} else if (mode === 'deaf') {
  setInterval(() => {}, 1000)
} else if (mode === 'huge') {
  // One line of a gigabyte.
  await flood(process.stdout, 'x'.repeat(1_048_576), 1_073_741_824)
} else {
  if (mode === 'stderr-flood') void flood(process.stderr, `${'e'.repeat(99)}\n`.repeat(1000), 1e9)
  if (mode === 'stdout-flood') void flood(process.stdout, 'log line, not a message\n'.repeat(2000), 1e9)
  if (mode === 'chatty') setInterval(() => print({ jsonrpc: '2.0', method: 'notifications/message' }), 20)
  for await (const line of console) {
    // The last line is empty.
    if (!line) continue
    const { id, method, params = {} } = JSON.parse(line)
    const result = METHODS[method]?.(params)
    if (id !== undefined && result !== undefined) print({ jsonrpc: '2.0', id, result })
  }
  if (mode !== 'stays') process.exit(0)
}
