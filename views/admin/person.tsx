/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import type { PropsWithChildren } from '@kitajs/html'
import { Address, Time } from '../components.tsx'
import { ActionForm, type AdminFrame, AdminPage, ConfirmForm } from './frame.tsx'
import type { UserView } from './users.tsx'

export interface PersonProps {
  frame: AdminFrame
  user: UserView
  sessions: { id: string; name: string; ip: string; signedInAt: string; endsAt: string; isThis: boolean }[]
  passkeys: { id: string; name: string; addedAt: string; usedAt: string | undefined }[]
  tokens: {
    id: string
    name: string
    scope: string[]
    resource: string
    expiresAt: string
    isExpired: boolean
    usedAt: string | undefined
  }[]
  accounts: { upstream: string; account: string; linkedAt: string }[]
  exportHref: string
}

/** What belongs to one user, and ending it. */
export function personPage({ frame, user, sessions, passkeys, tokens, accounts, exportHref }: PersonProps) {
  const form = (action: string, id: string, about: string) => ({
    action: `/admin/users/${action}`,
    csrf: frame.csrf,
    fields: { user: user.id, id },
    about,
  })
  return (
    <AdminPage frame={frame} title={user.email} guarded>
      <Summary user={user} exportHref={exportHref} />
      <Part title="Browsers" none="Not signed in to any browser." count={sessions.length}>
        {sessions.map(one => (
          <li class="row">
            <div>
              <strong safe>{one.name}</strong> {one.isThis ? <span class="badge good">this one</span> : ''}
              <small>
                From <span safe>{one.ip}</span>, signed in <Time iso={one.signedInAt} />, until{' '}
                <Time iso={one.endsAt} />.
              </small>
            </div>
            <ActionForm {...form('end-session', one.id, one.name)} label="Sign out" danger />
          </li>
        ))}
      </Part>
      {sessions.length > 1 ? (
        <ConfirmForm
          {...form('end-sessions', '', user.email)}
          label="Sign out of all browsers"
          consequence={`${user.email} has to sign in again in every browser. Their apps stay connected.`}
        />
      ) : (
        ''
      )}
      <Part title="Passkeys" none="No passkeys." count={passkeys.length}>
        {passkeys.map(one => (
          <li class="row">
            <div>
              <strong safe>{one.name}</strong>
              <small>
                Added <Time iso={one.addedAt} />, <Used at={one.usedAt} />.
              </small>
            </div>
            <div class="buttons">
              <ConfirmForm
                {...form('remove-passkey', one.id, one.name)}
                label="Remove"
                consequence={`${user.email} can no longer sign in with it. One that is their only way to sign in is kept.`}
              />
            </div>
          </li>
        ))}
      </Part>
      <Part title="Personal access tokens" none="No personal access tokens." count={tokens.length}>
        {tokens.map(one => (
          <li class="row">
            <div>
              <strong safe>{one.name}</strong> {one.isExpired ? <span class="badge warn">expired</span> : ''}
              <small>
                <span safe>{one.scope.join(' ')}</span> on <Address url={one.resource} />. Valid until{' '}
                <Time iso={one.expiresAt} />, <Used at={one.usedAt} />.
              </small>
            </div>
            <ActionForm {...form('revoke-token', one.id, one.name)} label="Revoke" danger />
          </li>
        ))}
      </Part>
      {accounts.length === 0 ? (
        ''
      ) : (
        <Part title="Linked accounts" none="" count={accounts.length}>
          {accounts.map(one => (
            <li>
              <strong safe>{one.upstream}</strong> <span safe>{one.account}</span>
              <small>
                Linked <Time iso={one.linkedAt} />.
              </small>
            </li>
          ))}
        </Part>
      )}
    </AdminPage>
  )
}

function Summary({ user, exportHref }: Pick<PersonProps, 'user' | 'exportHref'>) {
  const { email, name, isAdmin, state, signedInAt } = user
  return (
    <div class="card">
      <p>
        {name ? <span safe>{`${name} `}</span> : ''}
        {isAdmin ? <span class="badge good">administrator</span> : ''}{' '}
        {state === 'active' ? '' : <span class={state === 'disabled' ? 'badge warn' : 'badge calm'}>{state}</span>}{' '}
        {signedInAt === undefined ? (
          'Has not signed in yet.'
        ) : (
          <>
            Signed in <Time iso={signedInAt} />.
          </>
        )}
      </p>
      <p class="links">
        <a href={`/admin/connections?q=${encodeURIComponent(email)}`}>Connections</a>
        <a href={`/admin/audit?user=${encodeURIComponent(email)}`}>Audit log</a>
        <a href={`/admin/users?prefix=${encodeURIComponent(email)}`}>Change rights, disable or remove</a>
        <a href={exportHref}>Download what is stored about them</a>
      </p>
    </div>
  )
}

function Part(props: PropsWithChildren<{ title: string; none: string; count: number }>) {
  return (
    <>
      <h2 safe>{props.title}</h2>
      {props.count === 0 ? (
        <p class="card" safe>
          {props.none}
        </p>
      ) : (
        <ul class="list card">{props.children as 'safe'}</ul>
      )}
    </>
  )
}

const Used = ({ at }: { at: string | undefined }) =>
  at === undefined ? (
    'not used yet'
  ) : (
    <>
      last used <Time iso={at} />
    </>
  )
