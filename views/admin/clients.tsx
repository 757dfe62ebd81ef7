/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { type ClientLabel, ClientName, Csrf, Problem, Snippet, Time } from '../components.tsx'
import { Icon } from '../icons.tsx'
import { TEXTS } from '../texts/index.ts'
import { type AdminFrame, AdminPage, ConfirmForm, Next } from './frame.tsx'

export const SOURCES = {
  operator: 'Added by operators',
  token: 'With the initial token',
  dynamic: 'Registered themselves',
  metadata: 'From metadata documents',
} as const
export type Source = keyof typeof SOURCES

export interface ClientView {
  id: string
  label: ClientLabel
  auth: string
  grants: string[]
  scope: string[]
  redirectUris: string[]
  createdAt: string
  usedAt: string | undefined
}

export interface ClientsProps {
  frame: AdminFrame
  source: Source
  clients: ClientView[]
  next: string | undefined
  /** Scopes that a client can be given. */
  scopes: readonly { name: string; text: string }[]
  typed: { name: string; redirectUris: string; kind: string; scopes: readonly string[]; problem: string | undefined }
}

const KINDS = [
  ['device', 'A device or command line: shows a code'],
  ['app', 'An app on a person’s machine: opens their browser'],
  ['web', 'A web application: opens their browser, keeps a secret'],
  ['machine', 'A machine: acts for itself, keeps a secret'],
] as const
export type ClientKind = (typeof KINDS)[number][0]

export function clientsPage({ frame, source, clients, next, scopes, typed }: ClientsProps) {
  return (
    <AdminPage frame={frame} guarded>
      <nav class="filters" aria-label="Where clients come from">
        {Object.entries(SOURCES).map(([name, text]) => (
          <a href={`/admin/clients?source=${name}`} aria-current={name === source ? 'true' : undefined}>
            {text}
          </a>
        ))}
      </nav>
      <p class="links">
        <a href="#add">Add a client</a>
      </p>
      {clients.length === 0 ? (
        <p class="card">There are none.</p>
      ) : (
        <ul class="list card">
          {clients.map(client => (
            <ClientRow client={client} csrf={frame.csrf} source={source} />
          ))}
        </ul>
      )}
      <Next href={next} />
      <h2 id="add">Add a client</h2>
      <form class="card" method="post" action="/admin/clients/add">
        <Csrf token={frame.csrf} />
        <Problem text={typed.problem} />
        <label for="name">Name, as people will see it</label>
        <input
          class="field"
          id="name"
          name="name"
          required
          maxlength="100"
          value={typed.name}
          autocomplete="off"
          {...(typed.name ? { autofocus: true } : {})}
        />
        <fieldset>
          <legend>What it is</legend>
          {KINDS.map(([kind, text]) => (
            <label class="check">
              <input type="radio" name="kind" value={kind} checked={typed.kind === kind} /> <span>{text}</span>
            </label>
          ))}
        </fieldset>
        <label for="redirect_uris">Redirect URIs, separated by spaces (if it opens a browser)</label>
        <input
          class="field"
          id="redirect_uris"
          name="redirect_uris"
          value={typed.redirectUris}
          placeholder="https://app.example.com/callback"
          autocomplete="off"
          spellcheck="false"
        />
        <fieldset>
          <legend>What it may ask for</legend>
          {scopes.map(({ name, text }) => (
            <label class="check">
              <input type="checkbox" name={`scope:${name}`} value="yes" checked={typed.scopes.includes(name)} />{' '}
              <span>
                <span safe>{text}</span> <code safe>{name}</code>
              </span>
            </label>
          ))}
        </fieldset>
        <button class="primary" type="submit">
          Add client
        </button>
      </form>
    </AdminPage>
  )
}

function ClientRow({ client, csrf, source }: { client: ClientView; csrf: string; source: Source }) {
  const { id, label, auth, grants, scope, redirectUris, createdAt, usedAt } = client
  const form = { csrf, fields: { id, source }, about: label.name }
  return (
    <li class="row">
      <div>
        <ClientName client={label} />
        <small>
          <code safe>{id}</code>
          <br />
          <span safe>{`${grants.join(', ')}; ${proofOf(auth)}; ${scope.join(' ')}`}</span>
          {redirectUris.length > 0 ? (
            <>
              <br />
              <span safe>{redirectUris.join(' ')}</span>
            </>
          ) : (
            ''
          )}
          <br />
          Added <Time iso={createdAt} />
          {usedAt === undefined ? (
            ', never connected.'
          ) : (
            <>
              , last connected <Time iso={usedAt} />.
            </>
          )}{' '}
          <a href={`/admin/connections?q=${encodeURIComponent(id)}`}>Connections</a>{' '}
          <a href={`/admin/traces?client=${encodeURIComponent(id)}`}>Traces</a>
        </small>
      </div>
      <div class="buttons">
        {auth.startsWith('client_secret') ? (
          <ConfirmForm
            {...form}
            action="/admin/clients/rotate"
            label="New secret"
            consequence="The client gets a new secret, shown once. The old one stops working at once."
          />
        ) : (
          ''
        )}
        <ConfirmForm
          {...form}
          action="/admin/clients/remove"
          label="Remove"
          consequence={`${label.name} is removed, and all its connections and tokens end at once.`}
        />
      </div>
    </li>
  )
}

/** What it shows that it is itself with. */
function proofOf(auth: string): string {
  if (auth === 'none') return 'no secret'
  return auth.startsWith('client_secret') ? `a secret (${auth})` : `a key (${auth})`
}

/** Shown once, to the administrator who added the client or gave it a new secret. */
export function clientSecretPage(props: { frame: AdminFrame; title: string; id: string; secret: string | undefined }) {
  return (
    <AdminPage frame={props.frame} title={props.title}>
      <div class="card">
        <p class="hint">Client id</p>
        <Snippet id="client-id" text={props.id} t={TEXTS.en} />
        {props.secret === undefined ? (
          ''
        ) : (
          <>
            <p class="hint">Client secret</p>
            <Snippet id="client-secret" text={props.secret} t={TEXTS.en} />
            <p class="note warn">
              <Icon name="warning" />
              <span>The secret is not shown again. Store it where only the client can read it.</span>
            </p>
          </>
        )}
      </div>
    </AdminPage>
  )
}
