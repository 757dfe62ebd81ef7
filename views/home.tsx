/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Snippet } from './components.tsx'
import { clientsFor, type SetUp } from './home-clients.tsx'
import { Layout, type Shell } from './layout.tsx'

export interface HomeProps extends SetUp {
  shell: Shell
  /** The upstream servers that the reader may use one by one. */
  upstreams: { name: string; url: string }[]
}

/** What this server is, and how each app connects to it. */
export function homePage({ shell, upstreams, ...setUp }: HomeProps) {
  const { t } = shell
  return (
    <Layout title={t.homeTitle} shell={shell} wide translated>
      <h1 safe>{t.homeTitle}</h1>
      <p safe>{t.homeIntro}</p>
      <Snippet id="address" text={setUp.mcpUrl} t={t} />
      <Links shell={shell} />
      <h2 safe>{t.setUpApp}</h2>
      <div class="steps">
        {clientsFor(setUp, t).map(({ title, body }, i) => (
          <details name="setup" open={i === 0}>
            <summary safe>{title}</summary>
            {body as 'safe'}
          </details>
        ))}
      </div>
      {upstreams.length === 0 ? (
        ''
      ) : (
        <>
          <h2 safe>{t.singleServers}</h2>
          <p safe>{t.singleServersText}</p>
          {upstreams.map(({ name, url }) => (
            <>
              <h3 safe>{name}</h3>
              <Snippet id={`server-${name}`} text={url} t={t} />
            </>
          ))}
        </>
      )}
    </Layout>
  )
}

function Links({ shell: { t, viewer } }: { shell: Shell }) {
  return (
    <p class="links">
      {viewer === undefined ? (
        <a class="button" href="/auth/signin?return_to=/" safe>
          {t.signIn}
        </a>
      ) : (
        <a class="button" href="/account" safe>
          {t.yourApps}
        </a>
      )}
      {viewer?.isAdmin ? (
        <a class="button" href="/admin" safe>
          {t.administration}
        </a>
      ) : (
        ''
      )}
      <a class="button" href="/auth/device" safe>
        {t.enterDeviceCode}
      </a>
    </p>
  )
}
