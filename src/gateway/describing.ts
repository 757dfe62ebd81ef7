/** Capabilities and instructions of an endpoint: those of one upstream, or the hub's combination of all. */
import { offeredOf } from './eras.ts'
import type { Description, GatewayCaller } from './exchange.ts'
import { PATIENCE_MS } from './hub.ts'
import { isObject } from './messages.ts'
import type { Upstream } from './upstream.ts'

/** @throws UpstreamFailure if nothing is stored and the upstream does not start. */
export async function describeUpstream(upstream: Upstream, caller: GatewayCaller): Promise<Description> {
  const server = (await upstream.describe(caller))!
  const { capabilities, instructions, serverInfo } = server
  return {
    capabilities: offeredOf(capabilities),
    ...(instructions === undefined ? {} : { instructions }),
    ...(serverInfo ? { serverInfo } : {}),
  }
}

/** Length of the excerpt of each upstream's instructions in the hub's, in characters. */
const LONGEST_LINE = 300

export async function describeHub(upstreams: readonly Upstream[], caller: GatewayCaller): Promise<Description> {
  const servers = await Promise.all(upstreams.map(upstream => upstream.describe(caller, PATIENCE_MS)))
  // Capabilities are announced only once, so an unknown upstream is assumed to have all of them.
  const some = (capability: string) => servers.some(server => !server || isObject(server.capabilities[capability]))
  const subscribe = servers.some(server => {
    const resources = server?.capabilities.resources
    return isObject(resources) && resources.subscribe === true
  })
  const extensions = Object.assign({}, ...servers.map(server => server?.capabilities.extensions).filter(isObject))
  const lines = upstreams.map(({ config: { name } }, at) => {
    const about = servers[at]?.instructions?.split('\n').find(line => line.trim() !== '')
    return `- ${name}: ${about?.trim().slice(0, LONGEST_LINE) ?? 'no instructions'}`
  })
  return {
    capabilities: {
      tools: { listChanged: true },
      ...(some('prompts') ? { prompts: { listChanged: true } } : {}),
      ...(some('resources') ? { resources: { listChanged: true, ...(subscribe ? { subscribe } : {}) } } : {}),
      ...(some('completions') ? { completions: {} } : {}),
      ...(some('logging') ? { logging: {} } : {}),
      ...(Object.keys(extensions).length > 0 ? { extensions } : {}),
    },
    ...(lines.length > 0
      ? { instructions: `Tool names start with the name of their server:\n${lines.join('\n')}` }
      : {}),
  }
}
