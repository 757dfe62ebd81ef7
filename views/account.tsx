/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { AccountTabs } from './account-tabs.tsx'
import { type ClientLabel, ClientName, Confirm, Csrf } from './components.tsx'
import { type ConnectionsProps, connectionList } from './connections.tsx'
import { Layout, type Shell } from './layout.tsx'
import { type Permission, textOf } from './permissions.tsx'
import { type ServerAccount, ServerAccounts } from './upstream-accounts.tsx'

export interface AccountProps extends ConnectionsProps {
  signOutEverywhereCsrf: string
  servers: ServerAccount[]
  unlinkCsrf: string
  /** Apps that are not connected but may connect without asking. */
  remembered: { client: ClientLabel; clientId: string; permissions: Permission[] }[]
}

export function accountPage(props: AccountProps) {
  const { shell, csrf, signOutEverywhereCsrf, servers, unlinkCsrf, remembered } = props
  return (
    <Layout title={shell.t.apps} shell={shell} wide live translated>
      <AccountTabs at="/account" shell={shell} />
      <h1 safe>{shell.t.apps}</h1>
      <div id="connections">{connectionList(props) as 'safe'}</div>
      <ServerAccounts shell={shell} servers={servers} csrf={unlinkCsrf} />
      <Remembered shell={shell} csrf={csrf} apps={remembered} />
      <EndEverything shell={shell} csrf={csrf} signOutEverywhereCsrf={signOutEverywhereCsrf} />
    </Layout>
  )
}

function Remembered({ shell, csrf, apps }: { shell: Shell; csrf: string; apps: AccountProps['remembered'] }) {
  const { t } = shell
  return apps.length === 0 ? (
    ''
  ) : (
    <>
      <h2 safe>{t.idle}</h2>
      <p safe>{t.idleIntro}</p>
      {apps.map(({ client, clientId, permissions }) => (
        <article class="card row">
          <div>
            <ClientName client={client} t={t} />
            <ul>
              {permissions.map(permission => (
                <li safe>{textOf(t, permission)}</li>
              ))}
            </ul>
          </div>
          <form method="post" action="/account/disconnect-app">
            <Csrf token={csrf} />
            <input type="hidden" name="client_id" value={clientId} />
            <button class="small" type="submit">
              <span safe>{t.askAgain}</span>
              <span class="unseen" safe>{` ${client.name}`}</span>
            </button>
          </form>
        </article>
      ))}
    </>
  )
}

function EndEverything(props: { shell: Shell; csrf: string; signOutEverywhereCsrf: string }) {
  const { t } = props.shell
  return (
    <>
      <h2 safe>{t.lostDevice}</h2>
      <p safe>{t.lostDeviceText}</p>
      <div class="buttons">
        <Confirm label={t.disconnectAll} danger>
          <form method="post" action="/account/disconnect-all">
            <Csrf token={props.csrf} />
            <p safe>{t.disconnectAllSure}</p>
            <button class="small danger" type="submit" safe>
              {t.disconnectAll}
            </button>
          </form>
        </Confirm>
        <Confirm label={t.signOutEverywhere} danger>
          <form method="post" action="/account/signout-everywhere">
            <Csrf token={props.signOutEverywhereCsrf} />
            <p safe>{t.signOutEverywhereSure}</p>
            <button class="small danger" type="submit" safe>
              {t.signOutEverywhere}
            </button>
          </form>
        </Confirm>
      </div>
    </>
  )
}
