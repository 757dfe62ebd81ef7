/** The program as somebody at a terminal runs it: `bun run src/main.ts …`, in a process of its own. */
import { join } from 'node:path'

export const ROOT = join(import.meta.dir, '../..')

export interface Finished {
  code: number
  stdout: string
  stderr: string
}

/** A command that runs; its environment has nothing but what is given, and PATH. */
export function startCommand(args: string[], env: Record<string, string> = {}) {
  return Bun.spawn([process.execPath, 'run', 'src/main.ts', ...args], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
}

export async function runCommand(args: string[], env: Record<string, string> = {}): Promise<Finished> {
  const child = startCommand(args, env)
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  return { code, stdout, stderr }
}

/** Reads a stream until `pattern` matches what has come so far, and leaves the rest to be read. @returns the match. */
export async function readUntil(stream: ReadableStream<Uint8Array>, pattern: RegExp): Promise<RegExpExecArray> {
  const reader = stream.getReader()
  const decoder = new TextDecoder()
  let text = ''
  try {
    for (;;) {
      const { value, done } = await reader.read()
      text += decoder.decode(value, { stream: true })
      const found = pattern.exec(text)
      if (found) return found
      if (done) throw new Error(`the stream ended without ${pattern}:\n${text}`)
    }
  } finally {
    reader.releaseLock()
  }
}
