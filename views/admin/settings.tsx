/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Time } from '../components.tsx'
import { type AdminFrame, AdminPage, ConfirmForm } from './frame.tsx'

export interface SettingsProps {
  frame: AdminFrame
  settings: readonly { name: string; value: string; source: string }[]
  /** The published keys, the newest first. */
  keys: readonly SigningKeyView[]
}

interface SigningKeyView {
  kid: string
  createdAt: string
  /** Of one that does not sign yet. */
  signsFrom: string | undefined
  /** Of one that no longer signs. */
  replacedAt: string | undefined
}

export function settingsPage({ frame, settings, keys }: SettingsProps) {
  return (
    <AdminPage frame={frame} guarded>
      <p>
        The settings that this server started with, and where each came from. To change one, change it there and
        restart.
      </p>
      <ul class="list card">
        {settings.map(({ name, value, source }) => (
          <li class="row">
            <code safe>{name}</code>
            <div class="value">
              <span safe>{value}</span>
              <small safe>{source}</small>
            </div>
          </li>
        ))}
      </ul>
      <SigningKeys csrf={frame.csrf} keys={keys} />
    </AdminPage>
  )
}

function SigningKeys({ csrf, keys }: { csrf: string; keys: readonly SigningKeyView[] }) {
  const form = (revoke: 'yes' | 'no') => ({
    action: '/admin/settings/rotate-key',
    csrf,
    fields: { revoke },
    about: 'the signing key',
  })
  return (
    <>
      <h2>Signing keys</h2>
      <p>
        They sign access tokens. A key that was replaced stays published until the last token that it signed expires.
      </p>
      <ul class="list card">
        {keys.map(({ kid, createdAt, signsFrom, replacedAt }) => (
          <li>
            <code safe>{kid}</code> {signsFrom || replacedAt ? '' : <span class="badge good">signs</span>}
            <small>
              Made <Time iso={createdAt} />
              {signsFrom === undefined ? (
                ''
              ) : (
                <>
                  , signs from <Time iso={signsFrom} />
                </>
              )}
              {replacedAt === undefined ? (
                ''
              ) : (
                <>
                  , replaced <Time iso={replacedAt} />
                </>
              )}
              .
            </small>
          </li>
        ))}
      </ul>
      <div class="buttons">
        <ConfirmForm
          {...form('no')}
          label="Rotate"
          consequence="A new key is published now and signs in five minutes, when every cached key set contains it. No token ends."
        />
        <ConfirmForm
          {...form('yes')}
          label="Rotate, and refuse all access tokens"
          consequence="For a leaked key. A new key signs at once, and every access token that was issued before is refused, on every replica. Clients get new ones with their refresh tokens; machines ask again. Your own servers may accept the old key from a cached key set for up to five minutes."
        />
      </div>
    </>
  )
}
