/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Csrf } from './components.tsx'
import { Layout } from './layout.tsx'

export interface SignInProps {
  providers: { id: string; name: string }[]
  returnTo: string
  csrf: string
  /** What waits for the person to sign in. */
  purpose: 'app' | 'device' | undefined
}

export function signInPage({ providers, returnTo, csrf, purpose }: SignInProps) {
  return (
    <Layout title="Sign in">
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
              This server has no sign-in provider yet. When it started, it printed a{' '}
              <strong>one-time sign-in link</strong> in its terminal. Open that link in this browser; you will come back
              to this point.
            </p>
            <p>Has the link been used, or is it older than 15 minutes? The operator can print a new one:</p>
            <pre>
              <code>mcp-oauth-server user link you@example.com</code>
            </pre>
          </>
        )}
      </div>
    </Layout>
  )
}

/** Opening the link is not enough: link previews open links, too. */
export function signInLinkPage({ token, csrf }: { token: string; csrf: string }) {
  return (
    <Layout title="Sign in">
      <div class="card">
        <h1>Sign in with this link</h1>
        <p>The link works once and signs in this browser. Did somebody send it to you unasked? Then close this page.</p>
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

/** Seen for a moment while the browser goes on by itself. */
export function onwardPage({ href, to }: { href: string; to: string }) {
  return (
    <Layout title="Sign in">
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
