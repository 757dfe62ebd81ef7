/** The files of `deploy/`: as far as they can be checked without Docker and Kubernetes. */
import { afterAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { YAML } from 'bun'
import { configSchema, parseConfig } from '../src/config.ts'

// biome-ignore lint/suspicious/noExplicitAny: any document
type Document = any

const read = async (name: string) =>
  YAML.parse(await Bun.file(`${import.meta.dir}/../deploy/${name}`).text()) as Document
const settings = Object.keys(configSchema.shape)
/** Docker's plugin; the older `docker-compose` of Debian 12 does not know all that the file uses. */
const compose = '/usr/libexec/docker/cli-plugins/docker-compose'
const scratch = mkdtempSync(join(tmpdir(), 'mcp-oauth-deploy-'))
afterAll(() => rmSync(scratch, { recursive: true }))
/** After the grace period a process ends within so many seconds. */
const ENDS_S = 10

describe('compose.yaml', async () => {
  const { services, configs, networks, volumes } = await read('compose.yaml')
  const replicas = Object.keys(services).filter(name => name.startsWith('mcp-'))

  test('runs three replicas with one valid configuration', () => {
    expect(replicas).toHaveLength(3)
    for (const name of replicas) {
      const { environment } = services[name]
      expect(Object.keys(environment).filter(key => !settings.includes(key))).toEqual([])
      const filled = Object.fromEntries(
        Object.entries(environment).map(([key, value]) => [key, String(value).replace(/\$\{[^}]+\}/g, 'x'.repeat(32))]),
      )
      expect(parseConfig(filled, () => '').TRUSTED_PROXIES).toEqual([networks.mcp.ipam.config[0].subnet])
    }
  })

  test('gives a replica time to stop, after the proxy has seen that it is about to', () => {
    for (const name of replicas) {
      const { SHUTDOWN_GRACE } = parseConfig({ DATABASE_URL: 'postgres://x/x', AUTH_SECRET: 'x'.repeat(32) }, () => '')
      expect(Number.parseInt(services[name].stop_grace_period, 10)).toBeGreaterThan(SHUTDOWN_GRACE + ENDS_S)
      expect(configs.caddy.content).toContain(`${name}:3000`)
    }
    expect(configs.caddy.content).toMatch(/health_uri \/readyz\n\s+health_interval 1s\n/)
  })

  test('names only what it defines', () => {
    for (const service of Object.values<Document>(services)) {
      expect(service.networks).toEqual(['mcp'])
      for (const volume of service.volumes ?? []) expect(Object.keys(volumes)).toContain(volume.split(':')[0])
      for (const needed of Object.keys(service.depends_on ?? {})) expect(services[needed].healthcheck).toBeDefined()
    }
  })

  test.skipIf(!existsSync(compose))('is valid to Docker Compose', async () => {
    const secrets = { HOST_NAME: 'mcp.example.com', POSTGRES_PASSWORD: 'x', AUTH_SECRET: 'x' }
    const file = `${import.meta.dir}/../deploy/compose.yaml`
    const { exitCode, stderr } = await Bun.$`${compose} -f ${file} config -q`.env(secrets).quiet().nothrow()
    expect([stderr.toString(), exitCode]).toEqual(['', 0])
  })

  test.skipIf(!Bun.which('caddy'))('has a configuration that Caddy accepts', async () => {
    const file = join(scratch, 'Caddyfile')
    writeFileSync(file, configs.caddy.content.replaceAll('${HOST_NAME}', 'mcp.example.com'))
    const home = { ...process.env, HOME: scratch, XDG_DATA_HOME: scratch, XDG_CONFIG_HOME: scratch }
    const { exitCode, stdout } = await Bun.$`caddy validate --adapter caddyfile --config ${file}`
      .env(home)
      .quiet()
      .nothrow()
    expect([stdout.toString(), exitCode]).toEqual(['Valid configuration\n', 0])
  })
})

describe('kubernetes.yaml', async () => {
  const documents = (await read('kubernetes.yaml')) as Document[]
  const find = (kind: string) => documents.find(document => document.kind === kind)
  const { spec } = find('Deployment')
  const pod = spec.template.spec
  const [container] = pod.containers

  test('has one document of each kind, all with the same name', () => {
    expect(documents.map(({ kind }) => kind)).toEqual([
      ...['Secret', 'ConfigMap', 'Deployment', 'PodDisruptionBudget', 'HorizontalPodAutoscaler', 'Service', 'Ingress'],
    ])
    for (const { apiVersion, metadata } of documents)
      expect([typeof apiVersion, metadata.name]).toEqual(['string', 'mcp-oauth-server'])
  })

  test('has only fields that Kubernetes knows, of the right types', async () => {
    // Types are found from inside node_modules; an object literal may have no property that they lack.
    const cache = join(import.meta.dir, '../node_modules/.cache')
    mkdirSync(cache, { recursive: true })
    const dir = mkdtempSync(join(cache, 'kubernetes-'))
    const literals = documents.map(
      ({ apiVersion, kind, ...rest }, i) =>
        `import type { I${kind} as T${i} } from 'kubernetes-models/${apiVersion}'
export const d${i}: T${i} = ${JSON.stringify({ apiVersion, kind, ...rest })}`,
    )
    writeFileSync(join(dir, 'manifest.ts'), literals.join('\n'))
    writeFileSync(join(dir, 'wrong.ts'), literals.join('\n').replace('"periodSeconds"', '"periodSecond"'))
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext']
    const tsc = Bun.$`${process.execPath} x tsc ${options} manifest.ts wrong.ts`.cwd(dir).quiet().nothrow()
    const lines = (await tsc).stdout.toString().match(/^\S+\.ts.*$/gm)
    rmSync(dir, { recursive: true })
    expect(lines).toEqual([expect.stringMatching(/^wrong\.ts.*'"periodSecond"' does not exist in type 'IProbe'/)])
  })

  test('sets a valid configuration, once the secret has been replaced', () => {
    const published = { ...find('ConfigMap').data, ...find('Secret').stringData }
    expect(() => parseConfig(published, () => '')).toThrow('AUTH_SECRET must have at least 32 characters')
    const env = { ...published, AUTH_SECRET: 'x'.repeat(32) }
    expect(Object.keys(env).filter(key => !settings.includes(key))).toEqual([])
    expect(Object.values(env).every(value => typeof value === 'string')).toBe(true)
    const config = parseConfig({ ...env, HOST: '0.0.0.0' }, () => '')
    expect(container.ports).toEqual([
      { name: 'http', containerPort: config.PORT },
      { name: 'metrics', containerPort: config.METRICS_PORT },
    ])
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(config.SHUTDOWN_GRACE + ENDS_S - 1)
    const { periodSeconds, failureThreshold } = container.readinessProbe
    expect(periodSeconds * failureThreshold).toBeLessThan(config.SHUTDOWN_GRACE / 2)
    expect(find('Ingress').spec.rules.map(({ host }: Document) => `https://${host}`)).toEqual([config.BASE_URL])
  })

  test('selects the pods that it makes', () => {
    const { labels } = spec.template.metadata
    for (const selector of [
      spec.selector.matchLabels,
      find('PodDisruptionBudget').spec.selector.matchLabels,
      find('Service').spec.selector,
      pod.topologySpreadConstraints[0].labelSelector.matchLabels,
    ])
      expect(selector).toEqual(labels)
    const { apiVersion, kind } = find('Deployment')
    expect(find('HorizontalPodAutoscaler').spec.scaleTargetRef).toEqual({ apiVersion, kind, name: 'mcp-oauth-server' })
    expect(find('HorizontalPodAutoscaler').spec.minReplicas).toBeGreaterThan(
      find('PodDisruptionBudget').spec.maxUnavailable,
    )
  })

  test('probes what exists, as the user of the image', async () => {
    expect(['startupProbe', 'livenessProbe', 'readinessProbe'].map(probe => container[probe].httpGet)).toEqual([
      { path: '/healthz', port: 'http' },
      { path: '/healthz', port: 'http' },
      { path: '/readyz', port: 'http' },
    ])
    const image = await Bun.file(`${import.meta.dir}/../Dockerfile`).text()
    expect(image).toContain(`${pod.securityContext.runAsUser}`)
    expect(image).toContain(`DATA_DIR=${container.volumeMounts[0].mountPath}`)
    expect(find('Ingress').metadata.annotations['nginx.ingress.kubernetes.io/proxy-buffering']).toBe('off')
  })
})

describe('install.sh', () => {
  const script = `${import.meta.dir}/../deploy/install.sh`
  const platform = `${process.platform}-${process.arch}`
  const program = '#!/bin/sh\necho 1.2.3\n'
  const sums = (name: string, text: string) => `${new Bun.CryptoHasher('sha256').update(text).digest('hex')}  ${name}\n`

  test('installs the binary of this platform, from an address or a directory, if its checksum is right', async () => {
    const [from, to] = [mkdtempSync(join(tmpdir(), 'release-')), mkdtempSync(join(tmpdir(), 'installed-'))]
    const name = `mcp-oauth-server-1.2.3-${platform}`
    writeFileSync(join(from, name), program)
    writeFileSync(join(from, 'SHA256SUMS'), `${sums('mcp-oauth-server-1.2.3-other-x64', '')}${sums(name, program)}`)
    const host = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: ({ url }) => new Response(Bun.file(join(from, new URL(url).pathname))),
    })
    const install = (source: string) => Bun.$`sh ${script} ${source} ${to}`.quiet().nothrow()
    for (const source of [from, `http://127.0.0.1:${host.port}/`]) {
      const { exitCode, stdout } = await install(source)
      expect([exitCode, stdout.toString()]).toEqual([
        0,
        `Installed 1.2.3 as ${to}/mcp-oauth-server\n${to} is not in PATH.\n`,
      ])
      rmSync(join(to, 'mcp-oauth-server'))
    }
    const { exitCode } = await Bun.$`cd ${to} && sh ${script} ${from} relative/bin`.quiet().nothrow()
    expect([exitCode, readdirSync(join(to, 'relative/bin'))]).toEqual([0, ['mcp-oauth-server']])
    rmSync(join(to, 'relative'), { recursive: true })
    const refused = async () => {
      const { exitCode, stderr } = await install(from)
      return [exitCode, stderr.toString(), readdirSync(to)]
    }
    writeFileSync(join(from, name), `${program}echo changed\n`)
    expect(await refused()).toEqual([1, `${name} has a wrong checksum. Nothing was installed.\n`, []])
    writeFileSync(join(from, 'SHA256SUMS'), sums('mcp-oauth-server-1.2.3-other-x64', ''))
    expect(await refused()).toEqual([1, `The release at ${from} has no binary for ${platform}.\n`, []])
    writeFileSync(join(from, name), '#!/bin/sh\nexit 127\n')
    writeFileSync(join(from, 'SHA256SUMS'), sums(name, '#!/bin/sh\nexit 127\n'))
    expect(await refused()).toEqual([1, `${name} does not run on this system. Nothing was installed.\n`, []])
    await host.stop(true)
    for (const dir of [from, to]) rmSync(dir, { recursive: true })
  })

  test.skipIf(process.platform !== 'linux')('takes the binary for musl where the system has no glibc', async () => {
    const [from, to] = [mkdtempSync(join(tmpdir(), 'release-')), mkdtempSync(join(tmpdir(), 'installed-'))]
    mkdirSync(join(to, 'bin'))
    writeFileSync(join(to, 'bin/ldd'), '#!/bin/sh\nprintf "musl libc (x86_64)\\nVersion 1.2.5\\n" >&2\nexit 1\n', {
      mode: 0o755,
    })
    const install = () =>
      Bun.$`sh ${script} ${from} ${to}`
        .env({ ...process.env, PATH: `${join(to, 'bin')}:${process.env.PATH}` })
        .quiet()
        .nothrow()
    const [glibc, musl] = [`mcp-oauth-server-1.2.3-${platform}`, `mcp-oauth-server-1.2.3-${platform}-musl`]
    writeFileSync(join(from, glibc), '')
    writeFileSync(join(from, 'SHA256SUMS'), sums(glibc, ''))
    const refused = await install()
    expect([refused.exitCode, refused.stderr.toString()]).toEqual([
      1,
      `The release at ${from} has no binary for ${platform}-musl. This system has musl in place of glibc: build it with 'bun run release ${platform}-musl', or use a container with glibc.\n`,
    ])
    writeFileSync(join(from, musl), program)
    writeFileSync(join(from, 'SHA256SUMS'), `${sums(glibc, '')}${sums(musl, program)}`)
    expect((await install()).stdout.toString()).toStartWith(`Installed 1.2.3 as ${to}/mcp-oauth-server\n`)
    for (const dir of [from, to]) rmSync(dir, { recursive: true })
  })

  test.skipIf(Bun.which('shellcheck') === null)(
    'has nothing that shellcheck warns of, nor has release.sh',
    async () => {
      const { exitCode, stdout } = await Bun.$`shellcheck ${script} ${script.replace('install', 'release')}`
        .quiet()
        .nothrow()
      expect([stdout.toString(), exitCode]).toEqual(['', 0])
    },
  )
})
