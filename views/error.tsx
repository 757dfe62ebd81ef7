/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Phrase } from './components.tsx'
import { type IconName, Mark } from './icons.tsx'
import { Layout, type Shell } from './layout.tsx'
import { sentence, translated } from './texts/errors.ts'

interface ErrorPageProps {
  shell: Shell
  status: number
  /** In English; see `texts/errors.ts`. */
  title: string
  advice: string
  /** Where to go next, if the front page is not the place. */
  next: 'device' | 'signin' | undefined
  /** The address to try again. */
  retry: string | undefined
  /** Identifies the error in the operator's log. */
  reference: string | undefined
}

const MARKS: Readonly<Record<number, { kind: 'bad' | 'warn' | 'calm'; icon: IconName }>> = {
  403: { kind: 'warn', icon: 'lock' },
  404: { kind: 'calm', icon: 'search' },
  405: { kind: 'calm', icon: 'search' },
  409: { kind: 'calm', icon: 'info' },
  429: { kind: 'warn', icon: 'clock' },
  503: { kind: 'warn', icon: 'clock' },
}

/** What happened, and what to do next. */
export function errorPage({ shell, status, title, advice, next, retry, reference }: ErrorPageProps) {
  const { t, language } = shell
  const heading = translated(language, title)
  const { kind, icon } = MARKS[status] ?? { kind: 'bad', icon: 'warning' }
  return (
    <Layout title={heading} shell={shell} translated signingIn={next === 'signin'}>
      <div class="card">
        <Mark kind={kind} icon={icon} />
        <h1 safe>{heading}</h1>
        <p safe>{sentence(language, advice)}</p>
        <p class="links">
          {next === 'device' ? (
            <a class="button" href="/auth/device" safe>
              {t.anotherCode}
            </a>
          ) : next === 'signin' && shell.viewer !== undefined ? (
            <a class="button" href="/account" safe>
              {t.yourApps}
            </a>
          ) : next === 'signin' ? (
            <a class="button" href="/auth/signin" safe>
              {t.signIn}
            </a>
          ) : retry !== undefined ? (
            <a class="button" href={retry} safe>
              {t.tryAgain}
            </a>
          ) : (
            ''
          )}
          <a href="/" safe>
            {t.frontPage}
          </a>
        </p>
        {reference === undefined ? (
          ''
        ) : (
          <p class="hint">
            <Phrase text={t.reference} id={<code safe>{reference}</code>} />
          </p>
        )}
      </div>
    </Layout>
  )
}
