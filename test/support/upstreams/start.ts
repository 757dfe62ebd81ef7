/** Starts a fixture server as its own process, and describes how a gateway would. */
import { join } from 'node:path'
import { follow, ROOT } from '../command.ts'

export type Upstream = 'sdk1' | 'sdk2' | 'sdk2-only-2026'
export const UPSTREAMS: readonly Upstream[] = ['sdk1', 'sdk2', 'sdk2-only-2026']

/** The entry of a `mcpServers` file that starts a fixture over stdio. */
export function stdioEntry(upstream: Upstream): { command: string; args: string[] } {
  return { command: process.execPath, args: [...scriptOf(upstream), '--stdio'] }
}

/** Serves a fixture over Streamable HTTP on a free port of loopback. */
export async function startUpstream(upstream: Upstream): Promise<{ url: string } & AsyncDisposable> {
  const child = Bun.spawn([process.execPath, ...scriptOf(upstream), '--http', '0'], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const [, url] = await follow(child.stdout).until(/listening on (\S+)\n/)
  return {
    url: url!,
    async [Symbol.asyncDispose]() {
      child.kill()
      await child.exited
    },
  }
}

function scriptOf(upstream: Upstream): string[] {
  const script = join(ROOT, `test/support/upstreams/fixture-${upstream === 'sdk1' ? 'sdk1' : 'sdk2'}.ts`)
  return ['run', script, ...(upstream === 'sdk2-only-2026' ? ['--only-2026'] : [])]
}
