import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

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

/** Every import that is there at run time; `import type` is free. */
const imports: Import[] = files.flatMap(file => {
  const statements = textOf(file).matchAll(
    /^(?:import|export)\s(?!type\b)[^'"`;]*?from\s+'([^']+)'|\bimport\(\s*'([^']+)'\s*\)|^import\s+'([^']+)'/gms,
  )
  return [...statements].map(match => {
    const name = match[1] ?? match[2] ?? match[3] ?? ''
    return { file, target: name.startsWith('.') ? relative(root, resolve(root, dirname(file), name)) : name }
  })
})

const product = imports.filter(({ file }) => !file.startsWith('test/'))
const describeImport = ({ file, target }: Import) => `${file} -> ${target}`

/** The layers, top first: an import points down, or sideways where `ACROSS` says so. */
const LAYERS: readonly [name: string, pattern: RegExp][] = [
  ['main', /^src\/main\.ts$/],
  ['cli', /^src\/cli\//],
  ['composition', /^src\/(app|deps|sweeper)\.ts$/],
  ['features', /^src\/(oauth|signin|account|admin|mcp|gateway|http)\//],
  ['foundation', /^(src\/(audit|config)\.ts|src\/db\/|views\/)/],
  ['sql', /^sql\//],
  ['lib', /^src\/lib\//],
]
const layerOf = (path: string) => LAYERS.findIndex(([, pattern]) => pattern.test(path))

/** Of another feature only its services may be called: who may call what. */
const ACROSS: Readonly<Record<string, RegExp>> = {
  'src/account': /^src\/(http\/|oauth\/(client-names|consents|tokens|model)\.ts|signin\/index\.ts)/,
  'src/admin': /^src\/(http\/|oauth\/|signin\/|gateway\/)/,
  'src/mcp': /^src\/(http\/|gateway\/|oauth\/(model|tokens|replicas)\.ts)/,
  'src/oauth': /^src\/http\//,
  'src/signin': /^src\/http\//,
  'src/gateway': /^src\/http\//,
  'src/http': /^src\/oauth\/(model|tokens)\.ts/,
}

/** Libraries that one place owns, so that replacing one touches few files. */
const OWNERS: readonly [library: RegExp, owner: RegExp][] = [
  [/^postgres$/, /^src\/db\//],
  [/^@electric-sql\//, /^src\/db\/(pglite|wire-server)\.ts$/],
  [/^arctic$/, /^src\/signin\/providers\.ts$/],
  // The login command is a client of other people's servers, too.
  [/^@modelcontextprotocol\//, /^src\/(mcp|gateway)\/|^src\/cli\/login\.ts$/],
  [/^elysia$/, /^src\/(app\.ts|http\/|(oauth|signin|account|admin|mcp|gateway)\/)/],
  [/^@elysiajs\/html$/, /^views\//],
  [/^pino$/, /^src\/lib\/log\.ts$/],
]

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

  test('features call only the services of others; oauth and gateway never know each other', () => {
    const feature = (path: string) =>
      /^src\/(oauth|signin|account|admin|mcp|gateway|http)\//.exec(path)?.[0].slice(0, -1)
    const wrong = product.filter(({ file, target }) => {
      const from = feature(file)
      const to = feature(target)
      return from && to && from !== to && !ACROSS[from]?.test(target)
    })
    expect(wrong.map(describeImport)).toEqual([])
  })

  test('lib imports nothing of ours', () => {
    expect(
      product
        .filter(
          ({ file, target }) =>
            file.startsWith('src/lib/') && /^(src|sql|views)\//.test(target) && !target.startsWith('src/lib/'),
        )
        .map(describeImport),
    ).toEqual([])
  })

  test('each library has one owner', () => {
    const wrong = product.filter(({ file, target }) =>
      OWNERS.some(([library, owner]) => library.test(target) && !owner.test(file)),
    )
    expect(wrong.map(describeImport)).toEqual([])
  })

  test('views are pure: they import views and the JSX runtime only', () => {
    const wrong = product.filter(
      ({ file, target }) => file.startsWith('views/') && !/^(views\/|@elysiajs\/html$|@kitajs\/html$)/.test(target),
    )
    expect(wrong.map(describeImport)).toEqual([])
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
      'bunfig.toml',
      'package.json',
      'bun.lock',
      'tsconfig.json',
      'biome.json',
      'Dockerfile',
      'README.md',
      'LICENSE',
    ]
    expect(top.filter(name => !allowed.includes(name))).toEqual([])
  })
})

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1')
}
