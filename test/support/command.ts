/** The program as run from a terminal, in its own process. */
import { join } from 'node:path'
import { binary } from './binary.ts'

export const ROOT = join(import.meta.dir, '../..')

export interface Finished {
  code: number
  stdout: string
  stderr: string
}

/** A running command, whose environment contains only PATH and what is given. */
export function startCommand(args: string[], env: Record<string, string> = {}) {
  return Bun.spawn([binary(), ...args], {
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

/** Reads what a process prints, piece by piece. */
export function follow(stream: ReadableStream<Uint8Array>) {
  const reader = stream.getReader()
  const decoder = new TextDecoder()
  let text = ''

  async function more(): Promise<boolean> {
    const { value, done } = await reader.read()
    text += decoder.decode(value, { stream: !done })
    return !done
  }

  return {
    /** Waits until `pattern` matches the output so far. @returns the match. */
    async until(pattern: RegExp): Promise<RegExpExecArray> {
      for (;;) {
        const found = pattern.exec(text)
        if (found) return found
        if (!(await more())) throw new Error(`the stream ended without ${pattern}:\n${text}`)
      }
    },
    /** All output, when the process has closed the stream. */
    async text(): Promise<string> {
      while (await more());
      return text
    },
  }
}
