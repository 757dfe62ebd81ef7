/** The compiled binary: tests that run the program as a process use it, since it starts in a quarter of the time. */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Glob } from 'bun'
import packageJson from '../../package.json' with { type: 'json' }

const ROOT = join(import.meta.dir, '../..')
const DIRECTORY = join(ROOT, 'node_modules/.cache/mcp-oauth-server')
const PATH = join(DIRECTORY, 'mcp-oauth-server')

let upToDate = false

/**
 * The path of the binary, built as `bun run build` does if it is older than any source file; ./dist is left alone.
 * @throws what the compiler printed
 */
export function binary(): string {
  if (!upToDate && (!existsSync(PATH) || statSync(PATH).mtimeMs < newestSource())) build()
  upToDate = true
  return PATH
}

/** Builds in a directory of its own, which its source maps are left in, and renames: several test processes may come here at once. */
function build(): void {
  mkdirSync(DIRECTORY, { recursive: true })
  const directory = mkdtempSync(join(DIRECTORY, 'build-'))
  const partial = join(directory, 'mcp-oauth-server')
  const command = packageJson.scripts.build.split(' && ')[1]!.replace('dist/mcp-oauth-server', partial).split(' ')
  const built = Bun.spawnSync([process.execPath, ...command.slice(1)], { cwd: ROOT, stdout: 'ignore', stderr: 'pipe' })
  if (built.exitCode === 0) renameSync(partial, PATH)
  rmSync(directory, { recursive: true })
  if (built.exitCode !== 0) throw new Error(built.stderr.toString())
}

function newestSource(): number {
  const sources = [
    ...new Glob('{src,views,sql}/**/*').scanSync({ cwd: ROOT, onlyFiles: true }),
    'package.json',
    'bun.lock',
  ]
  return Math.max(...sources.map(source => statSync(join(ROOT, source)).mtimeMs))
}
