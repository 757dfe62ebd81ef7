/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import type { Shell } from './layout.tsx'

const PAGES = {
  '/account': 'tabApps',
  '/account/tokens': 'tabTokens',
  '/account/passkeys': 'tabPasskeys',
  '/account/sessions': 'tabBrowsers',
  '/account/data': 'tabData',
} as const

/** The pages of a user's account. */
export function AccountTabs({ at, shell: { t, viewer } }: { at: keyof typeof PAGES; shell: Shell }) {
  return (
    <nav class="tabs" aria-label={t.account}>
      {Object.entries(PAGES).map(([path, name]) => (
        <a href={path} aria-current={path === at ? 'page' : undefined} safe>
          {t[name]}
        </a>
      ))}
      {viewer?.isAdmin ? (
        <a class="narrow" href="/admin" safe>
          {t.administration}
        </a>
      ) : (
        ''
      )}
    </nav>
  )
}
