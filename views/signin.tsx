/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Layout } from './layout.tsx'

export interface SignInProps {
  providers: { id: string; name: string }[]
  returnTo: string
}

export function signInPage({ providers, returnTo }: SignInProps) {
  return (
    <Layout title="Sign in">
      <div class="card">
        <h1>Sign in</h1>
        {returnTo.startsWith('/auth/device') ? (
          <p>Sign in first. Then you can check what the device asks for, and approve or deny it.</p>
        ) : (
          ''
        )}
        {providers.map(provider => (
          <form method="post" action={`/auth/signin/${provider.id}`}>
            <input type="hidden" name="return_to" value={returnTo} />
            <button class={providers.length === 1 ? 'primary' : 'choice'} type="submit" safe>
              {`Continue with ${provider.name}`}
            </button>
          </form>
        ))}
        {providers.length > 0 ? (
          <p class="hint">The operator of this server decides who may enter.</p>
        ) : (
          <>
            <p>
              This server has no sign-in provider yet. Open the <strong>one-time sign-in link</strong> that it printed
              in its terminal when it started, in this browser: you will come back to where you were.
            </p>
            <p>The link is used up or older than 15 minutes? The operator can print a new one:</p>
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
export function signInLinkPage({ token }: { token: string }) {
  return (
    <Layout title="Sign in">
      <div class="card">
        <h1>Sign in with this link</h1>
        <p>The link works once. It signs in this browser.</p>
        <form method="post" action="/auth/signin/link">
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
