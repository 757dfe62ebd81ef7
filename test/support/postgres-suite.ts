/**
 * Runs on PostgreSQL the test files that open a database. One that does, but tests something else, says so in a line that
 * begins with `// Not on PostgreSQL:`. Usage: bun run test/support/postgres-suite.ts [OPTION OF BUN TEST...] [FILE...]
 */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const ROOT = join(import.meta.dir, '../..')
const TYPESCRIPT = { ts: new Bun.Transpiler({ loader: 'ts' }), tsx: new Bun.Transpiler({ loader: 'tsx' }) }
const textOf = (file: string) => readFileSync(join(ROOT, file), 'utf8')

const imports = new Map<string, string[]>()
/** Our own files that a file imports, as paths from the root. */
function importsOf(file: string): string[] {
  const known = imports.get(file)
  if (known) return known
  const kind = /\.(tsx?)$/.exec(file)?.[1] as keyof typeof TYPESCRIPT | undefined
  const all = kind ? TYPESCRIPT[kind].scanImports(textOf(file)) : []
  const own = all.filter(({ path }) => path.startsWith('.')).map(({ path }) => join(dirname(file), path))
  imports.set(file, own)
  return own
}

function opensDatabase(file: string, seen = new Set<string>()): boolean {
  if (file === 'test/support/database.ts') return true
  if (seen.has(file)) return false
  seen.add(file)
  return importsOf(file).some(target => opensDatabase(target, seen))
}

/** The test files that run on PostgreSQL, too, as paths from the root. Those in test/clients and test/faults run once, by themselves. */
export function postgresSuite(): string[] {
  const files = [...new Bun.Glob('test/**/*.test.ts').scanSync(ROOT)]
  const both = files.filter(file => !/^test\/(clients|faults)\//.test(file))
  return both.filter(file => opensDatabase(file) && !/^\/\/ Not on PostgreSQL: \S/m.test(textOf(file))).toSorted()
}

if (import.meta.main) {
  const given = process.argv.slice(2)
  const files = given.some(argument => argument.includes('/')) ? [] : postgresSuite().map(file => `./${file}`)
  const child = Bun.spawn([process.execPath, 'test', ...given, ...files], {
    cwd: ROOT,
    stdio: ['inherit', 'inherit', 'inherit'],
  })
  process.exitCode = await child.exited
}
