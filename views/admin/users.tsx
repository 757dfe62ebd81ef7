/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Csrf, faultyField, Problem, Snippet, Time } from '../components.tsx'
import { TEXTS } from '../texts/index.ts'
import { ActionForm, type AdminFrame, AdminPage, ConfirmForm, Next } from './frame.tsx'

export interface UserView {
  id: string
  email: string
  name: string
  isAdmin: boolean
  state: 'active' | 'invited' | 'disabled'
  signedInAt: string | undefined
}

export interface UsersProps {
  frame: AdminFrame
  users: UserView[]
  /** The viewer's id: nobody can lock themselves out here. */
  viewerId: string
  prefix: string
  next: string | undefined
  /** What was typed into the form for a new user, and what is wrong with it. */
  typed?: { email: string; isAdmin: boolean; problem: string | undefined }
}

export function usersPage({ frame, users, viewerId, prefix, next, typed }: UsersProps) {
  return (
    <AdminPage frame={frame} guarded>
      <search>
        <form class="inline" method="get" action="/admin/users">
          <label for="prefix">Address begins with</label>
          <input class="field" id="prefix" name="prefix" value={prefix} autocomplete="off" spellcheck="false" />
          <button class="small" type="submit">
            Search
          </button>
        </form>
      </search>
      <p class="links">
        <a href="#add">Let somebody in</a>
      </p>
      {users.length === 0 ? (
        <p class="card">No address begins with that.</p>
      ) : (
        <ul class="list card">
          {users.map(user => (
            <UserRow user={user} csrf={frame.csrf} isViewer={user.id === viewerId} />
          ))}
        </ul>
      )}
      <Next href={next} />
      <h2 id="add">Let somebody in</h2>
      <form class="card" method="post" action="/admin/users/add">
        <Csrf token={frame.csrf} />
        <Problem text={typed?.problem} />
        <label for="email">E-mail address</label>
        <input
          class="field"
          id="email"
          name="email"
          type="email"
          required
          value={typed?.email ?? ''}
          autocomplete="off"
          {...(typed ? { autofocus: true } : {})}
          {...faultyField(typed?.problem)}
        />
        <label class="check">
          <input type="checkbox" name="admin" value="yes" checked={typed?.isAdmin === true} /> As an administrator
        </label>
        <p class="hint">
          An invitation lets them sign in with a provider that has verified this address. A one-time link signs in
          whoever opens it; you pass it on yourself.
        </p>
        <div class="buttons">
          <button type="submit" name="how" value="invite">
            Invite
          </button>
          <button type="submit" name="how" value="link">
            Create a one-time link
          </button>
        </div>
      </form>
    </AdminPage>
  )
}

function UserRow({ user, csrf, isViewer }: { user: UserView; csrf: string; isViewer: boolean }) {
  const { id, email, name, isAdmin, state, signedInAt } = user
  const form = (change: string) => ({ action: '/admin/users/change', csrf, fields: { email, change }, about: email })
  return (
    <li class="row">
      <div>
        <div>
          <strong safe>{email}</strong> {isAdmin ? <span class="badge good">administrator</span> : ''}{' '}
          {state === 'active' ? '' : <span class={state === 'disabled' ? 'badge warn' : 'badge calm'}>{state}</span>}
          {isViewer ? <span class="badge calm">you</span> : ''}
        </div>
        <small>
          {name ? <span safe>{`${name}. `}</span> : ''}
          {signedInAt === undefined ? (
            'Has not signed in yet.'
          ) : (
            <>
              Signed in <Time iso={signedInAt} />.
            </>
          )}{' '}
          <a href={`/admin/connections?q=${encodeURIComponent(email)}`}>Connections</a>{' '}
          <a href={`/admin/users?id=${id}`} aria-label={`Details of ${email}`}>
            Details
          </a>
        </small>
      </div>
      {isViewer ? (
        ''
      ) : (
        <div class="buttons">
          {state === 'disabled' ? (
            <ActionForm {...form('enable')} label="Enable" />
          ) : (
            <>
              <ActionForm
                action="/admin/users/add"
                csrf={csrf}
                fields={{ email, how: 'link' }}
                label="Sign-in link"
                about={email}
              />
              {isAdmin ? (
                <ConfirmForm
                  {...form('demote')}
                  label="Demote"
                  consequence={`${email} loses administrator rights, and their apps with the scope admin are disconnected.`}
                />
              ) : (
                <ConfirmForm
                  {...form('promote')}
                  label="Promote"
                  consequence={`${email} becomes an administrator: they can see and change everything here.`}
                />
              )}
              <ConfirmForm
                {...form('disable')}
                label="Disable"
                consequence={`${email} is signed out everywhere, their apps are disconnected, and they cannot sign in.`}
              />
            </>
          )}
          <ConfirmForm
            {...form('remove')}
            label="Remove"
            consequence={`${email} is removed for good, with their connections, access tokens and linked accounts.`}
          />
        </div>
      )}
    </li>
  )
}

/** A one-time link, shown to the administrator who asked for it. */
export function linkPage(props: { frame: AdminFrame; email: string; href: string; minutes: number; isAdmin: boolean }) {
  return (
    <AdminPage frame={props.frame} title={`A sign-in link for ${props.email}`}>
      <div class="card">
        <p>
          This link signs in <b safe>{props.email}</b>
          {props.isAdmin ? ', an administrator' : ''}. It works once, for <span safe>{`${props.minutes} minutes`}</span>
          , and is not shown again.
        </p>
        <Snippet id="sign-in-link" text={props.href} t={TEXTS.en} />
        <p class="hint">Send it in a way that only they can read.</p>
      </div>
    </AdminPage>
  )
}
