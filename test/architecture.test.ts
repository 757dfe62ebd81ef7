import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { postgresSuite } from './support/postgres-suite.ts'

const root = resolve(import.meta.dir, '..')
const files = [...new Bun.Glob('{src,sql,views,test}/**/*.{ts,tsx}').scanSync(root)].filter(
  file => !file.endsWith('.d.ts'),
)
const textOf = (file: string) => readFileSync(join(root, file), 'utf8')

interface Import {
  file: string
  /** A path from the root for our own files, the name of a package otherwise. */
  target: string
}

/** Every import in a file's text, including types: importing a type is a dependency, too. */
function importsOf(file: string, text: string): Import[] {
  const statements = text.matchAll(
    /^(?:import|export)\s[^'"`;]*?from\s+'([^']+)'|\bimport\(\s*'([^']+)'\s*\)|^import\s+'([^']+)'/gms,
  )
  return [...statements].map(match => {
    const name = match[1] ?? match[2] ?? match[3] ?? ''
    return { file, target: name.startsWith('.') ? relative(root, resolve(root, dirname(file), name)) : name }
  })
}

const imports = files.flatMap(file => importsOf(file, textOf(file)))

const product = imports.filter(({ file }) => !file.startsWith('test/'))
const describeImport = ({ file, target }: Import) => `${file} -> ${target}`

/** The layers, top first: an import points down, or sideways where `ACROSS` says so. */
const LAYERS: readonly [name: string, pattern: RegExp][] = [
  ['main', /^src\/main\.ts$/],
  ['cli', /^src\/cli\//],
  ['composition', /^src\/(app|deps|presence|sweeper)\.ts$/],
  ['features', /^src\/(oauth|signin|account|admin|mcp|gateway)\//],
  ['http', /^src\/http\//],
  [
    'foundation',
    /^(src\/(auth-secret|base|settings|config|config-values|limits|metrics|tracing|tracing-sdk|site)\.ts|src\/(audit|db)\/|views\/)/,
  ],
  ['sql', /^sql\//],
  ['lib', /^src\/lib\//],
]
const layerOf = (path: string) => LAYERS.findIndex(([, pattern]) => pattern.test(path))

/** Only the services of another feature may be called: who may call what. */
const ACROSS: Readonly<Record<string, RegExp>> = {
  'src/account':
    /^src\/(oauth\/(deps|consents|tokens|personal-tokens|clients\/names)|signin\/(passkeys|service|sessions)|gateway\/(exchange|accounts\/types))\.ts/,
  'src/admin': /^src\/((oauth|signin|gateway)\/|account\/(agents|everything|removal)\.ts)/,
  'src/mcp': /^src\/(gateway\/|oauth\/(bearer|deps|memory|principal|resources|scopes|tokens|uses|grants\/types)\.ts)/,
}

/** Libraries imported from one place only, so that replacing one touches few files. */
const OWNERS: readonly [library: RegExp, owner: RegExp][] = [
  [/^postgres$/, /^(src\/db|sql)\//],
  [/^@electric-sql\//, /^src\/db\/(pglite|wire-server)\.ts$/],
  [/^@simplewebauthn\/server$/, /^src\/signin\/passkeys\.ts$/],
  [/^arctic$/, /^src\/signin\/providers\.ts$/],
  // The login command is a client of other people's servers, too.
  [/^@modelcontextprotocol\//, /^src\/(mcp|gateway)\/|^src\/cli\/login-\w+\.ts$/],
  [/^elysia$/, /^src\/(app\.ts|http\/|(oauth|signin|account|admin|mcp|gateway)\/)/],
  [/^@elysiajs\/html$/, /^views\//],
  [/^pino$/, /^src\/lib\/log\.ts$/],
  [/^prom-client$/, /^src\/metrics\.ts$/],
  [/^@opentelemetry\//, /^src\/tracing-sdk\.ts$/],
]

function crossesBadly({ file, target }: Import): boolean {
  const feature = (path: string) => /^src\/(oauth|signin|account|admin|mcp|gateway)\//.exec(path)?.[0].slice(0, -1)
  const from = feature(file)
  const to = feature(target)
  return from !== undefined && to !== undefined && from !== to && !ACROSS[from]?.test(target)
}

function isOwnedElsewhere({ file, target }: Import): boolean {
  return OWNERS.some(([library, owner]) => library.test(target) && !owner.test(file))
}

/** Files that can reach themselves, as sorted groups (Tarjan's strongly connected components). */
function circlesOf(edges: readonly Import[]): string[][] {
  const targets = Map.groupBy(edges, ({ file }) => file)
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const circles: string[][] = []
  const visit = (file: string): void => {
    index.set(file, index.size)
    low.set(file, index.get(file)!)
    stack.push(file)
    for (const { target } of targets.get(file) ?? []) {
      if (!index.has(target)) visit(target)
      if (stack.includes(target)) low.set(file, Math.min(low.get(file)!, low.get(target)!))
    }
    if (low.get(file) !== index.get(file)) return
    const circle = stack.splice(stack.indexOf(file))
    if (circle.length > 1) circles.push(circle.toSorted())
  }
  for (const file of targets.keys()) if (!index.has(file)) visit(file)
  return circles
}

describe('architecture', () => {
  test('the scan sees the code', () => {
    expect(product.length).toBeGreaterThan(150)
    expect(product.map(describeImport)).toContain('src/app.ts -> src/http/error-boundary.ts')
  })

  test('imports point down: main, cli, composition, features, foundation, sql, lib', () => {
    const upward = product.filter(({ file, target }) => layerOf(target) >= 0 && layerOf(target) < layerOf(file))
    expect(upward.map(describeImport)).toEqual([])
  })

  test('every file of the product belongs to a layer', () => {
    const strays = files.filter(file => !file.startsWith('test/') && layerOf(file) < 0)
    expect(strays).toEqual([])
  })

  test('features call only each other’s services; oauth and gateway do not import each other', () => {
    expect(product.filter(crossesBadly).map(describeImport)).toEqual([])
  })

  test('there are no import cycles, types included', () => {
    expect(circlesOf(product)).toEqual([])
  })

  test.each<[fault: string, file: string, text: string, found: (planted: Import[]) => boolean]>([
    [
      'a type from a layer above',
      'src/http/planted.ts',
      "import type { OAuthDeps } from '../oauth/deps.ts'",
      planted => planted.some(({ file, target }) => layerOf(target) < layerOf(file)),
    ],
    [
      'oauth that knows the gateway',
      'src/oauth/planted.ts',
      "import { openGateway } from '../gateway/index.ts'",
      planted => planted.some(crossesBadly),
    ],
    [
      'a library away from its owner',
      'src/oauth/planted.ts',
      "import postgres from 'postgres'",
      planted => planted.some(isOwnedElsewhere),
    ],
    [
      'two files that import each other’s types',
      'src/lib/log.ts',
      "import type {\n  Base,\n} from '../base.ts'",
      planted => circlesOf([...product, ...planted]).length === 1,
    ],
  ])('a planted fault is found: %s', (_, file, text, found) => {
    expect(found(importsOf(file, text))).toBe(true)
  })

  test('lib imports none of our modules', () => {
    expect(
      product
        .filter(
          ({ file, target }) =>
            file.startsWith('src/lib/') && /^(src|sql|views)\//.test(target) && !target.startsWith('src/lib/'),
        )
        .map(describeImport),
    ).toEqual([])
  })

  test('test:pg runs the files that open a database, but for those that say why not', () => {
    const suite = postgresSuite()
    expect(suite).toContain('test/oauth/tokens.test.ts')
    for (const file of ['test/config.test.ts', 'test/db/pglite.test.ts']) expect(suite).not.toContain(file)
    expect(suite.length).toBeGreaterThan(90)
  })

  test('each library is imported from one place only', () => {
    expect(product.filter(isOwnedElsewhere).map(describeImport)).toEqual([])
  })

  test('the conformance suite knows nothing of the product', () => {
    const suite = imports.filter(({ file }) => /^test\/conformance\/(?!peers\/|faults\.ts|.*\.test\.ts)/.test(file))
    expect(suite.length).toBeGreaterThan(20)
    const wrong = suite.filter(({ target }) => !/^(test\/conformance\/|node:|playwright-core$)/.test(target))
    expect(wrong.map(describeImport)).toEqual([])
  })

  test('views are pure: they import views and the JSX runtime only', () => {
    const wrong = product.filter(
      ({ file, target }) => file.startsWith('views/') && !/^(views\/|@elysiajs\/html$|@kitajs\/html$)/.test(target),
    )
    expect(wrong.map(describeImport)).toEqual([])
  })

  test('each view names its JSX factory: Bun reads the settings of the directory it is started in, not ours', () => {
    const pragma = '/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */\n'
    expect(
      files.filter(file => file.startsWith('views/') && file.endsWith('.tsx') && !textOf(file).startsWith(pragma)),
    ).toEqual([])
  })

  test.each<[rule: string, where: RegExp, forbidden: RegExp]>([
    ['the environment is read in cli only', /^src\/(?!cli\/|main\.ts)/, /process\.env/],
    ['SQL text stands in sql, and where the schema is migrated', /^(src\/(?!db\/)|views\/)/, /\bsql`|\.unsafe\(/],
    ['HTML stands in views', /^(src|sql)\//, /<\/[a-z]+>/],
    [
      'the clock is deps.now()',
      /^(src\/(?!cli\/|db\/|deps\.ts)|sql\/)/,
      /Date\.now\(\)|new Date\(\)|\bnow\(\)(?=\s*(?:\)|,|where|and|or)\b)/,
    ],
    ['an error becomes a response in the boundary', /^src\/(?!http\/error-boundary\.ts)/, /\.onError\(/],
    [
      'nothing is silenced',
      /^(src|sql|views|test)\/(?!architecture)/,
      /@ts-(ignore|expect-error)|\bas any\b|test\.(skip|todo|only)\(/,
    ],
  ])('%s', (_, where, forbidden) => {
    const wrong = files.filter(file => where.test(file) && forbidden.test(withoutComments(textOf(file))))
    expect(wrong).toEqual([])
  })

  test('no file is longer than 300 lines', () => {
    const long = files.filter(file => !file.startsWith('test/') && textOf(file).split('\n').length > 301)
    expect(long).toEqual([])
  })

  test('each feature says in its index what it owns', () => {
    for (const folder of ['oauth', 'signin', 'account', 'mcp'])
      expect(textOf(`src/${folder}/index.ts`)).toStartWith('/**')
  })

  test('the top level holds only what belongs there', () => {
    const tracked = Bun.spawnSync(['git', 'ls-files', '--cached', '--others', '--exclude-standard'], {
      cwd: root,
    }).stdout.toString()
    const top = [
      ...new Set(
        tracked
          .split('\n')
          .filter(Boolean)
          .map(file => file.split('/')[0]!),
      ),
    ].filter(name => !name.startsWith('.'))
    const allowed = [
      'src',
      'views',
      'sql',
      'test',
      'deploy',
      'bunfig.toml',
      'package.json',
      'bun.lock',
      'tsconfig.json',
      'biome.json',
      'Dockerfile',
      'README.md',
      'SECURITY.md',
      'LICENSE',
    ]
    expect(top.filter(name => !allowed.includes(name))).toEqual([])
  })
})

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1')
}
