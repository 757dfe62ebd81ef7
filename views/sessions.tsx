/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { AccountTabs } from './account-tabs.tsx'
import { Csrf, Time } from './components.tsx'
import { Layout, type Shell } from './layout.tsx'

export interface SessionsProps {
  shell: Shell
  csrf: string
  sessions: { id: string; browser: string; ip: string; signedInAt: string; endsAt: string; isThis: boolean }[]
}

export function sessionsPage({ shell, csrf, sessions }: SessionsProps) {
  return (
    <Layout title="Browsers" shell={shell} wide>
      <AccountTabs at="/account/sessions" shell={shell} />
      <h1>Browsers</h1>
      <p>You are signed in to these browsers. Signing one out takes effect at once; connected apps stay connected.</p>
      <ul class="list card">
        {sessions.map(({ id, browser, ip, signedInAt, endsAt, isThis }) => (
          <li class="row">
            <div>
              <strong safe>{browser}</strong> {isThis ? <span class="badge good">this one</span> : ''}
              <small>
                {ip === '' ? '' : <span safe>{`From ${ip}. `}</span>}Signed in <Time iso={signedInAt} />, until{' '}
                <Time iso={endsAt} />.
              </small>
            </div>
            {isThis ? (
              ''
            ) : (
              <form method="post" action="/account/sessions/end">
                <Csrf token={csrf} />
                <input type="hidden" name="id" value={id} />
                <button class="small danger" type="submit" aria-label={`Sign out ${browser}`}>
                  Sign out
                </button>
              </form>
            )}
          </li>
        ))}
      </ul>
    </Layout>
  )
}
