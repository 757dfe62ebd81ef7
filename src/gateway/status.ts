/** An upstream for operators: its state in this process, what it offers, and the policy as applied. */
import type { UpstreamConfig } from './config.ts'
import type { Policy, UpstreamStatus } from './exchange.ts'
import type { Pool } from './pool.ts'

/**
 * @param count How many items of a list policy leaves, if that is known.
 * @param blocked Tools that wait to be accepted, by principal.
 */
export function statusOf(
  { name, transport }: UpstreamConfig,
  pool: Pool,
  count: (kind: 'tools' | 'prompts' | 'resources') => number | undefined,
  blocked: Iterable<ReadonlySet<string>>,
): Omit<UpstreamStatus, 'stderr'> {
  const { speaks, starting, restarts, lastError, open, retryAt } = pool.state
  const links = [...pool.links()]
  const away = lastError === undefined ? 'idle' : 'away'
  return {
    name,
    transport: transport.type,
    state: open ? 'open_circuit' : links.length > 0 ? 'ready' : starting > 0 ? 'starting' : away,
    era: speaks === undefined ? undefined : speaks === '2026' ? '2026' : '2025',
    tools: count('tools'),
    prompts: count('prompts'),
    resources: count('resources'),
    connections: links.length,
    restarts,
    inFlight: links.reduce((sum, link) => sum + link.inFlight, 0),
    waiting: [...new Set(links.map(link => pool.slots(link)))].reduce((sum, slots) => sum + slots.waiting, 0),
    lastError,
    retryAt,
    blocked: [...new Set([...blocked].flatMap(names => [...names]))].sort(),
  }
}

/** Without what may be secret: arguments, variables, headers, and all of an address but its host. */
export function policyOf(config: UpstreamConfig): Policy {
  const { transport, auth, perPrincipal, isolation, users, tools, prompts, resources, scopes, roots, onChange } = config
  const own = perPrincipal ? 'user' : 'shared'
  return {
    reached: transport.type === 'stdio' ? transport.command : new URL(transport.url).host,
    auth: auth?.type,
    isolation: transport.type === 'stdio' ? isolation : own,
    users,
    tools,
    prompts,
    resources,
    scopes,
    roots,
    onChange,
  }
}
