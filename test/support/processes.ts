/** The program as its own process: what it prints, how it ends, and what it leaves behind when it is killed. */
import { binary } from './binary.ts'
import { freePort } from './ports.ts'

export interface Program {
  pid: number
  /** What it has printed so far, on both outputs. */
  output(): string
  /** Resolves when it has printed the text. @throws if it ends first, with what it did print. */
  printed(text: string): Promise<void>
  exited: Promise<number>
  kill(signal: NodeJS.Signals): void
}

/** Starts a program whose environment is `env` and the minimum that it needs. @param cwd Defaults to the current directory. */
export function start(command: string[], env: Record<string, string>, cwd?: string): Program {
  const child = Bun.spawn(command, {
    ...(cwd ? { cwd } : {}),
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  let output = ''
  let changed = Promise.withResolvers<void>()
  const read = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder()
    for await (const chunk of stream) {
      output += decoder.decode(chunk, { stream: true })
      changed.resolve()
      changed = Promise.withResolvers()
    }
  }
  const ended = Promise.all([read(child.stdout), read(child.stderr), child.exited])
  return {
    pid: child.pid,
    output: () => output,
    async printed(text) {
      let over = false
      void ended.then(() => {
        over = true
        changed.resolve()
      })
      while (!output.includes(text)) {
        if (over) throw new Error(`it ended without printing "${text}", but:\n${output}`)
        await changed.promise
      }
    },
    exited: ended.then(([, , code]) => code),
    kill: signal => child.kill(signal),
  }
}

/** Runs a command to its end. */
export async function run(args: string[], env: Record<string, string>): Promise<{ code: number; output: string }> {
  const program = start([binary(), ...args], env)
  return { code: await program.exited, output: program.output() }
}

/** Starts `serve` on a free port, unless `env` names one, and waits until it listens. @param command Defaults to the compiled binary. */
export async function serve(
  env: Record<string, string>,
  cwd?: string,
  command = [binary()],
): Promise<Program & { base: string; port: number }> {
  const port = env.PORT ? Number(env.PORT) : await freePort()
  const program = start(
    [...command, 'serve'],
    { PORT: String(port), BASE_URL: `http://localhost:${port}`, ...env },
    cwd,
  )
  await program.printed('is listening on')
  return { ...program, base: `http://127.0.0.1:${port}`, port }
}
