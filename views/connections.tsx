/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Address, type ClientLabel, ClientName, Confirm, Csrf, Done, Phrase, Time } from './components.tsx'
import type { Shell } from './layout.tsx'
import { type Permission, textOf } from './permissions.tsx'
import { enumeration } from './texts/format.ts'
import { fill } from './texts/index.ts'

export interface Connection {
  id: string
  /** What the user calls it. */
  label: string | undefined
  /** URL of the MCP endpoint. */
  resource: string
  /** The upstream servers that it may use there. */
  servers: readonly string[]
  permissions: Permission[]
  connectedAt: string
  /** By a call, not by a refresh in the background. */
  calledAt: string | undefined
  /** Of the last call or refresh. */
  network: string | undefined
  expiresAt: string
}

export interface ConnectedApp {
  client: ClientLabel
  clientId: string
  /** How many there are; the page may show only some. */
  count: number
  connections: Connection[]
}

/** The connections of one page: of all, those from a place on. */
export interface ConnectionsProps {
  shell: Shell
  csrf: string
  apps: ConnectedApp[]
  from: number
  /** The place where the next page begins; undefined on the last one. */
  next: number | undefined
}

/** The list, and what has just been done to it: htmx replaces all of it. */
export function connectionList(props: ConnectionsProps & { done?: string | undefined }) {
  const { shell, csrf, apps, from, next, done } = props
  const { t } = shell
  return (
    <>
      {done === undefined ? '' : <Done text={done} />}
      {apps.length === 0 ? (
        <div class="card">
          <p safe>{t.noApps}</p>
          <p class="links">
            <a href="/auth/device" safe>
              {t.connectDevice}
            </a>
            <a href="/" safe>
              {t.howToConnect}
            </a>
          </p>
        </div>
      ) : (
        <>
          <p safe>{t.appsIntro}</p>
          {apps.map(app => (
            <AppCard shell={shell} csrf={csrf} app={app} from={from} />
          ))}
          {from === 0 && next === undefined ? (
            ''
          ) : (
            <p class="links">
              {next === undefined ? (
                ''
              ) : (
                <a href={`/account?from=${next}`} safe>
                  {t.olderConnections}
                </a>
              )}
              {from === 0 ? (
                ''
              ) : (
                <a href="/account" safe>
                  {t.latestConnections}
                </a>
              )}
            </p>
          )}
        </>
      )}
    </>
  )
}

/** Sends a form in place. */
const INTO_LIST = { 'hx-target': '#connections', 'hx-swap': 'innerHTML' }

function liveForm(path: string, from: number) {
  const action = from === 0 ? path : `${path}?from=${from}`
  return { method: 'post', action, 'hx-post': action, ...INTO_LIST }
}

function AppCard(props: { shell: Shell; csrf: string; app: ConnectedApp; from: number }) {
  const { shell, csrf, app, from } = props
  const { t, language } = shell
  const { client, clientId, count, connections } = app
  return (
    <article class="card">
      <div class="row">
        <h2>
          <ClientName client={client} t={t} />
        </h2>
        {count > 1 ? (
          <Confirm
            label={fill(t.disconnectAllOf, { count: count.toLocaleString(language) })}
            about={client.name}
            danger
          >
            <form {...liveForm('/account/disconnect-app', from)}>
              <Csrf token={csrf} />
              <input type="hidden" name="client_id" value={clientId} />
              <p safe>{fill(t.disconnectAllOfSure, { app: client.name })}</p>
              <button class="small danger" type="submit" safe>
                {t.disconnect}
              </button>
            </form>
          </Confirm>
        ) : (
          ''
        )}
      </div>
      {connections.map(connection => (
        <ConnectionRow
          shell={shell}
          csrf={csrf}
          client={client}
          connection={connection}
          isOnly={count === 1}
          from={from}
        />
      ))}
    </article>
  )
}

function ConnectionRow(props: {
  shell: Shell
  csrf: string
  client: ClientLabel
  connection: Connection
  /** Whether the app has no other. */
  isOnly: boolean
  from: number
}) {
  const { shell, csrf, client, connection, isOnly, from } = props
  const { t } = shell
  const { id, label, permissions } = connection
  const about = label ?? client.name
  return (
    <section class="row connection">
      <div>
        {label === undefined ? '' : <h3 safe>{label}</h3>}
        <ul>
          {permissions.map(permission => (
            <li safe>{textOf(t, permission)}</li>
          ))}
        </ul>
        <ConnectionFacts shell={shell} connection={connection} />
      </div>
      <div class="buttons">
        <Confirm label={t.rename} about={about}>
          <form {...liveForm('/account/rename', from)}>
            <Csrf token={csrf} />
            <input type="hidden" name="id" value={id} />
            <label>
              <span safe>{t.connectionName}</span>
              <input class="field" name="name" maxlength="60" value={label ?? ''} autocomplete="off" />
            </label>
            <button class="small" type="submit" safe>
              {t.save}
            </button>
          </form>
        </Confirm>
        <Confirm label={t.disconnect} about={about} danger>
          <form {...liveForm('/account/disconnect', from)}>
            <Csrf token={csrf} />
            <input type="hidden" name="id" value={id} />
            <p safe>{fill(isOnly ? t.disconnectSure : t.disconnectOneSure, { app: client.name })}</p>
            <button class="small danger" type="submit" safe>
              {t.disconnect}
            </button>
          </form>
        </Confirm>
      </div>
    </section>
  )
}

function ConnectionFacts({ shell: { t, language }, connection }: { shell: Shell; connection: Connection }) {
  const { resource, servers, connectedAt, calledAt, network, expiresAt } = connection
  const used = calledAt === undefined ? <span safe>{t.notYet}</span> : <Time iso={calledAt} language={language} />
  return (
    <dl class="facts">
      <dt safe>{t.server}</dt>
      <dd>
        <Address url={resource} />
        {servers.length === 0 ? '' : <small safe>{enumeration(language, servers)}</small>}
      </dd>
      <dt safe>{t.connectedAt}</dt>
      <dd>
        <Time iso={connectedAt} language={language} />
      </dd>
      <dt safe>{t.lastUsed}</dt>
      <dd>
        {network === undefined ? (
          used
        ) : (
          <Phrase text={t.fromNetwork} time={used} network={<span safe>{network}</span>} />
        )}
      </dd>
      <dt safe>{t.until}</dt>
      <dd>
        <Time iso={expiresAt} language={language} />
      </dd>
    </dl>
  )
}
