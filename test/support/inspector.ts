/** The MCP Inspector in its command-line mode, unmodified and in a process of its own. */
import { join } from 'node:path'
import { ROOT } from './command.ts'

const PROGRAM = join(ROOT, 'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js')

/** @param home Where it keeps its state. */
export function startInspector(url: string, home: string, args: string[]) {
  // Its imports need a newer Node than Debian has; Bun runs it.
  return Bun.spawn([process.execPath, '--bun', PROGRAM, '--cli', url, '--format', 'json', ...args], {
    env: { PATH: process.env.PATH ?? '', HOME: home, MCP_AUTO_OPEN_ENABLED: 'true' },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
}

/** Runs it with a token. @returns what it prints. */
export async function inspect(url: string, home: string, token: string, args: string[]) {
  const child = startInspector(url, home, ['--header', `Authorization: Bearer ${token}`, ...args])
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  return { code, err, out: out.trim() === '' ? undefined : JSON.parse(out).result }
}
