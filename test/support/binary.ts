import packageJson from '../../package.json' with { type: 'json' }
import { ROOT } from './command.ts'

/** Compiles the binary as `bun run build` does, but to another place, so that tests do not replace ./dist. */
export function buildBinary(path: string): void {
  const build = packageJson.scripts.build.split('&& ').at(-1)!.replace('dist/mcp-oauth-server', path).split(' ')
  const built = Bun.spawnSync([process.execPath, ...build.slice(1)], { cwd: ROOT, stdout: 'ignore', stderr: 'pipe' })
  if (built.exitCode !== 0) throw new Error(built.stderr.toString())
}
