/** What sign-in tests check in a browser and in the server's database. */
import { expect } from 'bun:test'
import type { TestServer } from './server.ts'
import type { Browser, Page } from './user-agent.ts'

/** The cookie's name on http. */
export const SESSION = 'mcp-oauth-session'

export async function count(server: TestServer, table: string): Promise<number> {
  const [row] = await server.deps.sql<{ n: number }[]>`select count(*)::int as n from ${server.deps.sql(table)}`
  return row!.n
}

export function isSignedIn(browser: Browser, server: TestServer): boolean {
  return browser.cookies(server.base).has(SESSION)
}

/** Expects a page with this title and advice on what to do next, and nobody signed in. */
export function expectRefusal(browser: Browser, server: TestServer, page: Page, status: number, title: string): void {
  expect([page.status, /<h1>(.*?)<\/h1>/.exec(page.html)?.[1]]).toEqual([status, title])
  expect(page.html).toMatch(/<p>[^<]{20,}<\/p>/)
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
  expect(page.headers.get('cache-control')).toBe('no-store')
  expect(isSignedIn(browser, server)).toBe(false)
}

/** Page titles, by outcome. */
export const TITLES = {
  lost: 'This sign-in was started in another browser or too long ago',
  cancelled: 'You were not signed in',
  refused: 'The sign-in failed',
  unreachable: 'The sign-in provider cannot be reached',
  noAccess: 'You have no access to this server',
  unverified: 'Your address is not verified',
  deadLink: 'This link no longer works',
} as const
