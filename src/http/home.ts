/** The front page: what this server is and how to connect to it. */
import { Elysia } from 'elysia'
import { homePage } from '../../views/home.tsx'
import type { Base } from '../base.ts'
import { page } from './pages.ts'
import { PAGE } from './routes.ts'

export const home = (base: Base) =>
  new Elysia({ name: 'home' }).get(
    '/',
    () => page(homePage({ mcpUrl: `${base.config.BASE_URL}/mcp`, baseUrl: base.config.BASE_URL })),
    PAGE,
  )
