/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import type { Shell } from './layout.tsx'

const PAGES = {
  '/account': 'Apps',
  '/account/tokens': 'Access tokens',
  '/account/passkeys': 'Passkeys',
  '/account/sessions': 'Browsers',
} as const

/** The pages of a user's account. */
export function AccountTabs({ at, shell }: { at: keyof typeof PAGES; shell: Shell }) {
  return (
    <nav class="tabs" aria-label="Account">
      {Object.entries(PAGES).map(([path, name]) => (
        <a href={path} aria-current={path === at ? 'page' : undefined}>
          {name}
        </a>
      ))}
      {shell.viewer?.isAdmin ? <a href="/admin">Administration</a> : ''}
    </nav>
  )
}
