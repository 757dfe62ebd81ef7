/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { AccountTabs } from './account-tabs.tsx'
import { Csrf, Time } from './components.tsx'
import { Layout, type Shell } from './layout.tsx'
import { fill, type Texts } from './texts/index.ts'

/** What is recognized of a browser's user agent. */
export interface BrowserName {
  browser: string | undefined
  system: string | undefined
}

export interface SessionsProps {
  shell: Shell
  csrf: string
  sessions: { id: string; name: BrowserName; ip: string; signedInAt: string; endsAt: string; isThis: boolean }[]
}

/** Such as "Firefox on Windows". */
export function nameOf({ browser, system }: BrowserName, t: Texts): string {
  if (system === undefined) return browser ?? t.anotherBrowser
  return fill(t.browserOn, { browser: browser ?? t.aBrowser, system })
}

export function sessionsPage({ shell, csrf, sessions }: SessionsProps) {
  const { t } = shell
  return (
    <Layout title={t.tabBrowsers} shell={shell} wide translated>
      <AccountTabs at="/account/sessions" shell={shell} />
      <h1 safe>{t.tabBrowsers}</h1>
      <p safe>{t.browsersIntro}</p>
      <ul class="list card">
        {sessions.map(session => (
          <SessionRow shell={shell} csrf={csrf} session={session} />
        ))}
      </ul>
    </Layout>
  )
}

function SessionRow(props: { shell: Shell; csrf: string; session: SessionsProps['sessions'][number] }) {
  const { t, language } = props.shell
  const { id, name, ip, signedInAt, endsAt, isThis } = props.session
  const title = nameOf(name, t)
  return (
    <li class="row">
      <div>
        <strong safe>{title}</strong>{' '}
        {isThis ? (
          <span class="badge good" safe>
            {t.thisOne}
          </span>
        ) : (
          ''
        )}
        <dl class="facts">
          <dt safe>{t.from}</dt>
          <dd safe>{ip || t.unknown}</dd>
          <dt safe>{t.signedInAt}</dt>
          <dd>
            <Time iso={signedInAt} language={language} />
          </dd>
          <dt safe>{t.until}</dt>
          <dd>
            <Time iso={endsAt} language={language} />
          </dd>
        </dl>
      </div>
      {isThis ? (
        ''
      ) : (
        <form method="post" action="/account/sessions/end">
          <Csrf token={props.csrf} />
          <input type="hidden" name="id" value={id} />
          <button class="small danger" type="submit">
            <span safe>{t.signOut}</span>
            <span class="unseen" safe>{` ${title}`}</span>
          </button>
        </form>
      )}
    </li>
  )
}
