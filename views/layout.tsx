/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import type { PropsWithChildren } from '@kitajs/html'
import { Csrf, Notice } from './components.tsx'
import { Icon } from './icons.tsx'
import { fill, type Language, TEXTS, type Texts } from './texts/index.ts'

/** Whose server this is, and the addresses of what its pages load. */
export interface Site {
  name: string
  icon: string
  logo: string
  style: string
  script: string
  htmx: string
  passkeys: string
}

/** What every page gets: whose server it is, who looks at it, in which language, and what has just happened. */
export interface Shell {
  site: Site
  language: Language
  t: Texts
  /** The signed-in user. */
  viewer: { email: string; isAdmin: boolean; signOutCsrf: string } | undefined
  /** Said once at the top of the next page, such as "Disconnected Cursor." */
  notice: string | undefined
}

export interface LayoutProps {
  title: string
  shell: Shell
  /** For pages with lists; other pages are one card in the middle. `wider`: rows with several buttons. */
  wide?: boolean | 'wider'
  /** Loads htmx. */
  live?: boolean
  /** Loads what signs in with passkeys. */
  passkeys?: boolean
  /** Whether the page speaks the reader's language; otherwise it is English. */
  translated?: boolean
  /** Hides the link to the sign-in page. */
  signingIn?: boolean
}

export const fullTitle = (title: string, { site }: Shell) => `${title} · ${site.name}`

/** The same page in English. */
const english = (shell: Shell): Shell => ({ ...shell, language: 'en', t: TEXTS.en })

/** The layout of every page. */
export function Layout({
  title,
  shell: given,
  wide,
  live,
  passkeys,
  translated,
  signingIn,
  children,
}: PropsWithChildren<LayoutProps>) {
  const shell = translated ? given : english(given)
  const { site, language, t, notice } = shell
  return (
    <>
      {'<!doctype html>'}
      <html lang={language}>
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="color-scheme" content="light dark" />
          <meta name="robots" content="noindex" />
          <title safe>{fullTitle(title, shell)}</title>
          <link rel="icon" href={site.icon} type="image/svg+xml" />
          <link rel="stylesheet" href={site.style} />
          <script src={site.script} defer></script>
          {passkeys ? <script src={site.passkeys} defer></script> : ''}
          {live ? (
            <>
              <meta name="htmx-config" content='{"includeIndicatorCSS":false,"mode":"same-origin","history":false}' />
              <script src={site.htmx} defer></script>
            </>
          ) : (
            ''
          )}
        </head>
        <body class={[wide && 'wide', wide === 'wider' && 'wider']}>
          <a class="skip" href="#main" safe>
            {t.skip}
          </a>
          <Header shell={shell} signingIn={signingIn} />
          <main id="main">
            {notice === undefined ? '' : <Notice text={notice} />}
            {children as 'safe'}
          </main>
        </body>
      </html>
    </>
  )
}

function Header({ shell: { site, t, viewer }, signingIn }: { shell: Shell; signingIn: boolean | undefined }) {
  return (
    <header>
      <div>
        <a class="brand" href="/">
          <img src={site.logo} alt="" width="28" height="28" />
          {/* A host breaks between its labels. */}
          <span>
            {
              site.name
                .split(/(?<=\.)/)
                .map(part => Html.escapeHtml(part))
                .join('<wbr>') as 'safe'
            }
          </span>
        </a>
        {viewer === undefined ? (
          signingIn ? (
            ''
          ) : (
            <nav>
              <a href="/auth/signin?return_to=/account" safe>
                {t.signIn}
              </a>
            </nav>
          )
        ) : (
          <nav>
            <a class="who" href="/account" title={fill(t.signedInAs, { email: viewer.email })}>
              <Icon name="person" />
              <span class="short" safe>
                {t.account}
              </span>
              <span class="long" safe>
                {viewer.email}
              </span>
            </a>
            {viewer.isAdmin ? (
              <a class="roomy" href="/admin" safe>
                {t.administration}
              </a>
            ) : (
              ''
            )}
            <form method="post" action="/auth/signout">
              <Csrf token={viewer.signOutCsrf} />
              <button class="plain" type="submit" safe>
                {t.signOut}
              </button>
            </form>
          </nav>
        )}
      </div>
    </header>
  )
}
