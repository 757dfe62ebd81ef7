/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { type ClientLabel, ClientName, Csrf, OnPhone, Phrase, type Qr } from './components.tsx'
import { ProviderMark } from './icons.tsx'
import { Layout, type Shell } from './layout.tsx'
import { PasskeySignIn } from './passkeys.tsx'
import { fill } from './texts/index.ts'

/** What waits for the user to sign in. A device is named by its code alone: to anyone else, codes must tell nothing. */
export type Waiting = { kind: 'app'; client: ClientLabel } | { kind: 'device'; code: string }

export interface SignInProps {
  shell: Shell
  providers: { id: string; name: string }[]
  returnTo: string
  /** Whether somebody who is signed in has to sign in again. */
  again?: boolean
  csrf: string
  waiting: Waiting | undefined
  /** The link of the device that waits, for a phone. */
  qr: Qr | undefined
  /** How the operator runs a command of this program. */
  command: string
}

export function signInPage({ shell, providers, returnTo, again, csrf, waiting, qr, command }: SignInProps) {
  const { t, site, viewer } = shell
  const mustSignIn = viewer === undefined || again === true
  return (
    <Layout title={t.signIn} shell={shell} signingIn translated passkeys>
      <div class="card">
        <h1 safe>{fill(t.signInTo, { site: site.name })}</h1>
        {waiting === undefined ? (
          ''
        ) : (
          <p>
            {waiting.kind === 'app' ? (
              <Phrase text={t.appWaits} app={<ClientName client={waiting.client} t={t} />} />
            ) : (
              <Phrase text={t.deviceWaits} code={<b safe>{waiting.code}</b>} />
            )}
          </p>
        )}
        {viewer === undefined ? (
          ''
        ) : (
          <>
            <p>
              <Phrase text={t.alreadySignedIn} email={<b safe>{viewer.email}</b>} />
            </p>
            {mustSignIn ? (
              <p safe>{t.signInAgain}</p>
            ) : (
              <p>
                <a class="button primary" href={returnTo} safe>
                  {t.goOn}
                </a>
              </p>
            )}
            {providers.length > 0 && !mustSignIn ? <p safe>{t.orSomebodyElse}</p> : ''}
          </>
        )}
        <PasskeySignIn csrf={csrf} returnTo={returnTo} isOnly={providers.length === 0 && mustSignIn} t={t} />
        {providers.map(({ id, name }) => (
          <form method="post" action={`/auth/signin/${id}`}>
            <Csrf token={csrf} />
            <input type="hidden" name="return_to" value={returnTo} />
            <button class={providers.length === 1 && mustSignIn ? 'primary' : 'choice'} type="submit">
              <ProviderMark id={id} /> <span safe>{fill(t.continueWith, { provider: name })}</span>
            </button>
          </form>
        ))}
        {providers.length > 0 ? (
          <p class="hint" safe>
            {t.operatorDecides}
          </p>
        ) : mustSignIn ? (
          <WithLink shell={shell} command={command} />
        ) : (
          ''
        )}
        <OnPhone qr={qr} t={t} />
      </div>
    </Layout>
  )
}

function WithLink({ shell: { t }, command }: { shell: Shell; command: string }) {
  return (
    <>
      <p safe>{t.needsLink}</p>
      <details>
        <summary safe>{t.areYouOperator}</summary>
        <p safe>{t.newLink}</p>
        <pre>
          <code safe>{`${command} user link you@example.com`}</code>
        </pre>
      </details>
    </>
  )
}

/** Asks for a click, because link previews also open links. */
export function signInLinkPage(props: { shell: Shell; token: string; csrf: string; email: string }) {
  const { t, site } = props.shell
  return (
    <Layout title={t.signIn} shell={props.shell} signingIn translated>
      <div class="card">
        <h1 safe>{fill(t.linkTitle, { email: props.email })}</h1>
        <p safe>{fill(t.linkText, { site: site.name })}</p>
        <form method="post" action="/auth/signin/link">
          <Csrf token={props.csrf} />
          <input type="hidden" name="token" value={props.token} />
          <button class="primary" type="submit" safe>
            {t.signIn}
          </button>
        </form>
      </div>
    </Layout>
  )
}

/** Shown briefly while the browser continues to another site, or to the app that waits. */
export function onwardPage({ shell, href, to }: { shell: Shell; href: string; to: string | undefined }) {
  const { t } = shell
  return (
    <Layout title={t.signIn} shell={shell} signingIn translated>
      <div class="card">
        <h1 safe>{t.oneMoment}</h1>
        <p>
          <a href={href} safe>
            {fill(t.continueTo, { place: to ?? t.theApp })}
          </a>
        </p>
      </div>
    </Layout>
  )
}
