/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Csrf, Phrase, Time, Warning } from './components.tsx'
import { Mark } from './icons.tsx'
import { Layout, type Shell } from './layout.tsx'
import { fill, type Texts } from './texts/index.ts'

/** An upstream server at which the user has linked, or can link, their own account. */
export interface ServerAccount {
  name: string
  /** The host that gets its tokens. */
  host: string
  /** `wants_more`: the server needs more access than was allowed. `ended`: the server no longer accepts it. */
  state: 'linked' | 'wants_more' | 'not_linked' | 'ended'
  /** The server's name for the account. */
  account: string | undefined
  scope: string[]
  linkedAt: string | undefined
  usedAt: string | undefined
}

/** A part of the account page. */
export function ServerAccounts({ shell, servers, csrf }: { shell: Shell; servers: ServerAccount[]; csrf: string }) {
  const { t } = shell
  return servers.length === 0 ? (
    ''
  ) : (
    <>
      <h2 safe>{t.yourServers}</h2>
      <p safe>{t.yourServersIntro}</p>
      {servers.map(server => (
        <article class="card row">
          <div>
            <div>
              <strong safe>{server.name}</strong> <State server={server} t={t} />
            </div>
            <Facts server={server} shell={shell} />
          </div>
          {server.state === 'linked' ? (
            <UnlinkForm name={server.name} csrf={csrf} t={t} />
          ) : (
            <a class="button small" href={pageOf(server.name)}>
              <span safe>{t.linkAccount}</span>
              <span class="unseen" safe>{` ${server.name}`}</span>
            </a>
          )}
        </article>
      ))}
    </>
  )
}

const pageOf = (name: string) => `/account/upstreams/${name}`

const STATES = {
  linked: ['good', 'stateLinked'],
  wants_more: ['warn', 'stateWantsMore'],
  ended: ['warn', 'stateEnded'],
  not_linked: ['calm', 'stateNotLinked'],
} as const

function State({ server: { state }, t }: { server: ServerAccount; t: Texts }) {
  const [kind, text] = STATES[state]
  return (
    <span class={['badge', kind]} safe>
      {t[text]}
    </span>
  )
}

function Facts({ server, shell: { t, language } }: { server: ServerAccount; shell: Shell }) {
  const { host, account, scope, linkedAt, usedAt, state } = server
  const isLinked = linkedAt !== undefined && (state === 'linked' || state === 'wants_more')
  return (
    <>
      {scope.length > 0 ? (
        <ul>
          {scope.map(name => (
            <li safe>{name}</li>
          ))}
        </ul>
      ) : (
        ''
      )}
      <dl class="facts">
        <dt safe>{t.atServer}</dt>
        <dd safe>{host}</dd>
        {account === undefined ? (
          ''
        ) : (
          <>
            <dt safe>{t.asAccount}</dt>
            <dd safe>{account}</dd>
          </>
        )}
        {isLinked ? (
          <>
            <dt safe>{t.linkedAt}</dt>
            <dd>
              <Time iso={linkedAt} language={language} />
            </dd>
            <dt safe>{t.lastUsed}</dt>
            <dd>{usedAt === undefined ? <span safe>{t.notYet}</span> : <Time iso={usedAt} language={language} />}</dd>
          </>
        ) : (
          ''
        )}
      </dl>
    </>
  )
}

function UnlinkForm({ name, csrf, t }: { name: string; csrf: string; t: Texts }) {
  return (
    <form method="post" action={`${pageOf(name)}/unlink`}>
      <Csrf token={csrf} />
      <button class="small danger" type="submit">
        <span safe>{t.unlink}</span>
        <span class="unseen" safe>{` ${name}`}</span>
      </button>
    </form>
  )
}

export interface LinkProps {
  shell: Shell
  email: string
  csrf: string
  name: string
  host: string
  /** The host where the user signs in. */
  signInHost: string
  /** Where the account was linked before, if that is somewhere else now. */
  issuerBefore: string | undefined
  scope: string[]
}

/** Asks the user before sending them to the other server's sign-in. */
export function linkPage({ shell, email, csrf, name, host, signInHost, issuerBefore, scope }: LinkProps) {
  const { t } = shell
  const title = fill(t.serverLinkTitle, { name })
  return (
    <Layout title={title} shell={shell} translated>
      <div class="card">
        <h1 safe>{title}</h1>
        <p>
          <Phrase
            text={t.serverLinkText}
            place={<b safe>{signInHost}</b>}
            email={<b safe>{email}</b>}
            name={<b safe>{name}</b>}
          />
        </p>
        {issuerBefore === undefined ? '' : <Warning text={fill(t.serverMoved, { before: issuerBefore })} />}
        <dl class="facts">
          <dt safe>{t.server}</dt>
          <dd safe>{host}</dd>
          <dt safe>{t.signInPlace}</dt>
          <dd safe>{signInHost}</dd>
          {scope.length > 0 ? (
            <>
              <dt safe>{t.asksFor}</dt>
              <dd safe>{scope.join(' ')}</dd>
            </>
          ) : (
            ''
          )}
        </dl>
        <p class="hint" safe>
          {fill(t.serverLinkHint, { host })}
        </p>
        <form class="decision" method="post" action={`${pageOf(name)}/link`}>
          <Csrf token={csrf} />
          <button type="submit" name="decision" value="deny" safe>
            {t.cancel}
          </button>
          <button type="submit" name="decision" value="approve" safe>
            {t.goOn}
          </button>
        </form>
      </div>
    </Layout>
  )
}

/** Shown when the user returns, or opens the page again. */
export function linkedPage({ shell, csrf, server }: { shell: Shell; csrf: string; server: ServerAccount }) {
  const { t } = shell
  const title = fill(t.serverLinkedTitle, { name: server.name })
  return (
    <Layout title={title} shell={shell} translated>
      <div class="card">
        <Mark kind="good" icon="check" />
        <h1 safe>{title}</h1>
        <p safe>{t.serverLinkedText}</p>
        <Facts server={server} shell={shell} />
        <p class="links">
          <a href="/account" safe>
            {t.serversAndApps}
          </a>
          <a href={`${pageOf(server.name)}?again=1`} safe>
            {t.linkAnother}
          </a>
        </p>
      </div>
      <UnlinkForm name={server.name} csrf={csrf} t={t} />
    </Layout>
  )
}
