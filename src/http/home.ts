/** The front page: what this server is and how to connect to it. */
import { Elysia } from 'elysia'
import { homePage } from '../../views/home.tsx'
import { PAGE } from './routes.ts'
import { type PageDeps, page } from './shell.ts'

export const home = (deps: PageDeps) =>
  new Elysia({ name: 'home' }).get(
    '/',
    ({ request }) => {
      const { BASE_URL: baseUrl } = deps.config
      return page(deps, request, shell => homePage({ shell, mcpUrl: `${baseUrl}/mcp`, baseUrl }))
    },
    PAGE,
  )
