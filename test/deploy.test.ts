/** The files of `deploy/`: as far as they can be checked without Docker and Kubernetes. */
import { describe, expect, test } from 'bun:test'
import { YAML } from 'bun'
import { configSchema, parseConfig } from '../src/config.ts'

// biome-ignore lint/suspicious/noExplicitAny: any document
type Document = any

const read = async (name: string) =>
  YAML.parse(await Bun.file(`${import.meta.dir}/../deploy/${name}`).text()) as Document
const settings = Object.keys(configSchema.shape)
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
