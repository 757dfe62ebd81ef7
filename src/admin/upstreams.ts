/** Upstreams: their state, what changed in their tools, and checking, trusting and restarting them. */
import { Elysia } from 'elysia'
import { z } from 'zod'
import { countPendingTools } from '../../sql/upstreams.ts'
import { listAddresses } from '../../sql/users.ts'
import { upstreamPage } from '../../views/admin/upstream.tsx'
import { offers, type UpstreamView, upstreamsPage } from '../../views/admin/upstreams.tsx'
import type { CheckedUpstream } from '../gateway/check.ts'
import type { Policy, UpstreamDetails, UpstreamProcess } from '../gateway/exchange.ts'
import { acceptTools, listStates, restartUpstream } from '../gateway/operating.ts'
import type { Filter } from '../gateway/policy.ts'
import { seeOther } from '../http/pages.ts'
import { queryParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { AppError } from '../lib/errors.ts'
import { printableText } from '../lib/text.ts'
import { type AdminDeps, type Asked, administrators, adminPage, asAdministrator, backTo, readForm } from './guard.ts'
import { address } from './paging.ts'
import { changesOf } from './tool-changes.ts'

/** Changed tools on one page: what is accepted together must be readable together. */
const CHANGES = 20
const ERROR_LENGTH = 500
const ERAS = { '2026': '2026-07-28', '2025': '2025-11-25 or older' }
/** A page does not wait longer for a check, which goes on. */
const CHECK_MS = 20_000

const oneSchema = z.object({ name: z.string().max(64) })
const trustSchema = oneSchema.extend({
  seen: z
    .string()
    .regex(/^[0-9a-f]{64}( [0-9a-f]{64})*$/)
    .max(CHANGES * 65),
})

export const upstreams = (deps: AdminDeps) =>
  new Elysia({ name: 'admin-upstreams' })
    .use(administrators(deps))
    .get(
      '/admin/upstreams',
      async asked => {
        const { name } = queryParams(asked.request)
        return name === undefined ? showAll(deps, asked) : showOne(deps, asked, name)
      },
      { administrator: true, ...PAGE },
    )
    // Where a check leaves the browser's address.
    .get('/admin/upstreams/check', () => seeOther('/admin/upstreams'), { administrator: true, ...PAGE })
    .post(
      '/admin/upstreams/check',
      async asked => {
        const { name } = await readForm(deps, asked, 'upstreams', oneSchema)
        return showOne(deps, asked, name, await tryOnce(deps, name))
      },
      { parse: 'none', administrator: true, ...PAGE },
    )
    .post(
      '/admin/upstreams/trust',
      async asked => {
        const { name, seen } = await readForm(deps, asked, 'upstreams', trustSchema, {
          dangerous: ({ name }) => ({ name }),
        })
        const shown = seen.split(' ')
        const { tools, fingerprints } = await acceptTools(asAdministrator(deps, asked), name, shown)
        const hasChanged = shown.some(one => !fingerprints.has(one))
        const notice =
          tools.length === 0
            ? 'Nothing was accepted: these tools have changed again. Compare them once more.'
            : `Accepted ${tools.length === 1 ? 'one tool' : `${tools.length} tools`}.${hasChanged ? ' Others have changed again; compare them once more.' : ''}`
        return backTo(deps, address('/admin/upstreams', { name }), notice)
      },
      { parse: 'none', administrator: true, ...PAGE },
    )
    .post(
      '/admin/upstreams/restart',
      async asked => {
        const { name } = await readForm(deps, asked, 'upstreams', oneSchema)
        const known = deps.gateway?.endpoints().some(endpoint => endpoint.name === name)
        if (!known) throw unknown()
        await restartUpstream(asAdministrator(deps, asked), name, deps.gateway)
        const notice = `${name} was restarted: its connections have ended, and the next call opens a new one.`
        return backTo(deps, address('/admin/upstreams', { name }), notice)
      },
      { parse: 'none', administrator: true, ...PAGE },
    )

const unknown = () =>
  new AppError('There is no such upstream', 'The page of upstreams lists those that MCP_SERVERS has now.', {
    status: 404,
  })

async function showAll(deps: AdminDeps, asked: Asked): Promise<Response> {
  const [details, pending, states] = await Promise.all([
    deps.gateway?.inspect(),
    countPendingTools(deps.sql),
    listStates(deps),
  ])
  const changed = new Map(pending.map(({ upstream, count }) => [upstream, count]))
  const { serverName: server } = deps
  const others = new Set(states.map(state => state.server).filter(name => name !== server)).size
  return adminPage(deps, asked, 'upstreams', frame =>
    upstreamsPage({
      frame,
      upstreams: details?.map(one => shown(one, changed.get(one.name) ?? 0)),
      server,
      others,
    }),
  )
}

function shown({ policy, ...details }: UpstreamDetails, changed: number): UpstreamView {
  const { name, state, transport, tools, prompts, resources, connections, lastError, era } = details
  return {
    ...{ name, state, transport, tools, prompts, resources, connections, changed },
    era: era && ERAS[era],
    reached: printableText(policy.reached, 200),
    lastError: lastError === undefined ? undefined : printableText(lastError, ERROR_LENGTH),
  }
}

async function showOne(deps: AdminDeps, asked: Asked, name: string, checked?: CheckedUpstream): Promise<Response> {
  const details = (await deps.gateway?.inspect())?.find(one => one.name === name)
  if (!details) throw unknown()
  const [changes, states, processes] = await Promise.all([
    changesOf(deps, name, CHANGES + 1),
    listStates(deps),
    named(deps, details.processes),
  ])
  const { serverName: server } = deps
  const here = states.filter(state => state.name === name)
  return adminPage(deps, asked, 'upstreams', frame =>
    upstreamPage({
      frame,
      upstream: {
        ...shown(details, changes.length),
        inFlight: details.inFlight,
        waiting: details.waiting,
        restarts: details.restarts,
        retryAt: details.retryAt?.toISOString(),
        linkedAccounts: here[0]?.linkedAccounts ?? 0,
      },
      policy: policyInWords(details.policy),
      processes,
      stderr: readable(details.stderr),
      changes: changes.slice(0, CHANGES),
      moreChanges: changes.length > CHANGES,
      server,
      elsewhere: here
        .filter(state => state.server !== server)
        .map(({ server, state, connections, lastError }) => ({
          ...{ server, state, connections },
          lastError: lastError === undefined ? undefined : printableText(lastError, ERROR_LENGTH),
        })),
      checked: checked && inWords(checked),
    }),
  )
}

const readable = (lines: readonly string[]) => lines.slice(-20).map(line => printableText(line, ERROR_LENGTH))

/** Processes, with the addresses of those that they are for. */
async function named({ sql }: AdminDeps, processes: readonly UpstreamProcess[]) {
  const ids = processes.flatMap(({ principal }) => /^user:([0-9a-f-]{36})$/.exec(principal)?.[1] ?? [])
  const emails = new Map((await listAddresses(sql, ids)).map(({ id, email }) => [`user:${id}`, email]))
  return processes.map(({ principal, pid, startedAt, lastUsedAt }) => ({
    pid,
    who: principal === 'shared' ? 'everybody' : (emails.get(principal) ?? principal.replace(/^client:/, 'machine ')),
    startedAt: startedAt.toISOString(),
    usedAt: lastUsedAt.toISOString(),
  }))
}

const ISOLATION = { user: 'one for each person', session: 'one for each session of a client', shared: 'one for all' }
const AUTH = {
  user: 'an account that each person links',
  client: 'an account of this server',
  exchange: 'a token of this server, exchanged for each caller',
}

function policyInWords(policy: Policy): [string, string][] {
  const scopes = Object.entries(policy.scopes).map(([glob, scope]) => `${glob} needs ${scope}`)
  return [
    ['Who may use it', policy.users?.join(', ') || (policy.users ? 'nobody' : 'everybody')],
    ['Tools', filterInWords(policy.tools)],
    ['Prompts', filterInWords(policy.prompts)],
    ['Resources', filterInWords(policy.resources)],
    ['Scopes', scopes.join('; ') || 'none of its own'],
    ['Connection', ISOLATION[policy.isolation]],
    ['Signs in with', policy.auth === undefined ? 'nothing, or what the file says' : AUTH[policy.auth]],
    ['A changed tool is', policy.onChange === 'block' ? 'blocked until it is trusted' : 'recorded, and stays usable'],
    ['Client’s directories', policy.roots ? 'are told to it (roots)' : 'are not told to it'],
  ]
}

function filterInWords({ allow, deny }: Filter): string {
  const allowed = allow === undefined ? 'all' : allow.length === 0 ? 'none' : `only ${allow.join(', ')}`
  return deny && deny.length > 0 ? `${allowed}, but never ${deny.join(', ')}` : allowed
}

async function tryOnce({ checkUpstream }: AdminDeps, name: string): Promise<CheckedUpstream> {
  const patience = Bun.sleep(CHECK_MS).then(() => ({
    name,
    problem: `has not answered within ${CHECK_MS / 1000} seconds; it may still be starting`,
    stderr: [],
  }))
  const checked = await Promise.race([checkUpstream(name), patience])
  if (!checked) throw unknown()
  return checked
}

function inWords({ name, problem, detail, stderr, era, tools = 0, prompts = 0, resources = 0, auth }: CheckedUpstream) {
  const counts = offers({ tools, prompts, resources }) || 'nothing'
  const works = problem === undefined
  return {
    works,
    words: works
      ? auth === undefined
        ? `${name} works: it was connected just now, speaks MCP ${era === '2026' ? ERAS[2026] : ERAS[2025]}, and offers ${counts}.`
        : `${name} can be signed in to: ${auth}.`
      : `${name} ${problem}.`,
    detail: detail === undefined ? undefined : printableText(detail, ERROR_LENGTH),
    stderr: works ? [] : readable(stderr),
  }
}
