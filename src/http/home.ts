/** The front page: what this server is and how to connect to it. */
import { Elysia } from 'elysia'
import { homePage } from '../../views/home.tsx'
import type { Config } from '../config.ts'
import { COMMAND } from '../lib/program.ts'
import { PAGE } from './routes.ts'
import type { Viewer } from './session.ts'
import { type KeptPage, type PageDeps, page, type View } from './shell.ts'

/** Names of the upstream servers that somebody may use. */
export type UpstreamsFor = (viewer: Viewer) => readonly string[]

export type HomeDeps = PageDeps & { upstreamsFor: UpstreamsFor }

export const home = (deps: HomeDeps) => {
  const baseUrl = deps.config.BASE_URL
  const mcpUrl = `${baseUrl}/mcp`
  const name = nameForApps(deps.config)
  /** Anybody may ask for this page as often as they like, and writing it takes most of the time. */
  const kept: KeptPage = new Map()
  return new Elysia({ name: 'home' }).get(
    '/',
    async ({ request }) => {
      const viewer = await deps.viewers.find(request).catch(() => undefined)
      const upstreams = (viewer ? deps.upstreamsFor(viewer) : []).map(name => ({ name, url: `${mcpUrl}/${name}` }))
      const view: View = shell => homePage({ shell, baseUrl, mcpUrl, upstreams, name, command: COMMAND })
      return page(deps, request, view, { known: { viewer }, kept })
    },
    PAGE,
  )
}

/** A short name without spaces: of the site, or the first telling part of its host. */
export function nameForApps({ SITE_NAME, BASE_URL }: Pick<Config, 'SITE_NAME' | 'BASE_URL'>): string {
  const { hostname } = new URL(BASE_URL)
  const isAddress = /^[\d.]+$|:/.test(hostname)
  const parts = SITE_NAME ? [SITE_NAME] : isAddress ? [] : hostname.split('.')
  const words = parts.map(part =>
    part
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, ''),
  )
  return words.find(word => word && !/^(www|mcp|auth|localhost)$/.test(word)) ?? 'hub'
}
