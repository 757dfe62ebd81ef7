/** The front page: what this server is and how to connect to it. */
import { Elysia } from 'elysia'
import { homePage } from '../../views/home.tsx'
import type { Deps } from '../deps.ts'
import { page } from './pages.ts'

export const home = (deps: Deps) =>
  new Elysia({ name: 'home' }).get('/', () =>
    page(homePage({ mcpUrl: `${deps.config.BASE_URL}/mcp`, baseUrl: deps.config.BASE_URL })),
  )
