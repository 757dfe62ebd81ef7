/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Csrf } from './components.tsx'
import { Layout, type Shell } from './layout.tsx'

export interface SignInProps {
  shell: Shell
  providers: { id: string; name: string }[]
  returnTo: string
  csrf: string
  /** What the user signs in for. */
  purpose: 'app' | 'device' | undefined
  /** How the operator runs a command of this program. */
  command: string
}

export function signInPage({ shell, providers, returnTo, csrf, purpose, command }: SignInProps) {
  return (
    <Layout title="Sign in" shell={shell} signingIn>
      <div class="card">
        <h1>Sign in</h1>
        {purpose ? (
          <p>Sign in first. Then you will see what the {purpose} asks for, and can approve or deny it.</p>
        ) : (
          ''
        )}
        {providers.map(provider => (
          <form method="post" action={`/auth/signin/${provider.id}`}>
            <Csrf token={csrf} />
            <input type="hidden" name="return_to" value={returnTo} />
            <button class={providers.length === 1 ? 'primary' : 'choice'} type="submit" safe>
              {`Continue with ${provider.name}`}
            </button>
          </form>
        ))}
        {providers.length > 0 ? (
          <p class="hint">The operator of this server decides who has access.</p>
        ) : (
          <>
            <p>
              This server has no sign-in provider yet. At startup it printed a <strong>one-time sign-in link</strong> in
              its terminal. Open that link in this browser; you will return to this page.
            </p>
            <p>If the link has been used or is older than 15 minutes, the operator can print a new one:</p>
            <pre>
              <code safe>{`${command} user link you@example.com`}</code>
            </pre>
          </>
        )}
      </div>
    </Layout>
  )
}

/** Asks for a click, because link previews also open links. */
export function signInLinkPage({ shell, token, csrf }: { shell: Shell; token: string; csrf: string }) {
  return (
    <Layout title="Sign in" shell={shell} signingIn>
      <div class="card">
        <h1>Sign in with this link</h1>
        <p>The link works once and signs in this browser. If somebody sent it to you unasked, close this page.</p>
        <form method="post" action="/auth/signin/link">
          <Csrf token={csrf} />
          <input type="hidden" name="token" value={token} />
          <button class="primary" type="submit">
            Sign in
          </button>
        </form>
      </div>
    </Layout>
  )
}

/** Shown briefly while the browser continues to another site. */
export function onwardPage({ shell, href, to }: { shell: Shell; href: string; to: string }) {
  return (
    <Layout title="Sign in" shell={shell} signingIn>
      <div class="card">
        <h1>One moment</h1>
        <p>
          <a href={href} safe>
            {`Continue to ${to}`}
          </a>
        </p>
      </div>
    </Layout>
  )
}
