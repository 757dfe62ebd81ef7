/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { AccountTabs } from './account-tabs.tsx'
import { Csrf, SignInAgain, Time } from './components.tsx'
import { Icon } from './icons.tsx'
import { Layout, type Shell } from './layout.tsx'
import type { Texts } from './texts/index.ts'

/** Signs in with a passkey of this browser. Hidden until `webauthn.js` finds that the browser can do that. */
export function PasskeySignIn(props: { csrf: string; returnTo: string; isOnly: boolean; t: Texts }) {
  const { csrf, returnTo, isOnly, t } = props
  return (
    <form
      method="post"
      action="/auth/passkey"
      data-passkey="use"
      data-options="/auth/passkey/options"
      {...{ hidden: true }}
    >
      <Csrf token={csrf} />
      <input type="hidden" name="return_to" value={returnTo} />
      <input type="hidden" name="credential" value="" />
      <button class={isOnly ? 'primary' : 'choice'} type="submit" safe>
        {t.withPasskey}
      </button>
      <PasskeyProblem text={t.noPasskey} />
    </form>
  )
}

function PasskeyProblem({ text }: { text: string }) {
  return (
    <p class="problem" role="alert" {...{ hidden: true }}>
      <Icon name="warning" />
      <span safe>{text}</span>
    </p>
  )
}

export interface PasskeysProps {
  shell: Shell
  csrf: string
  passkeys: { id: string; name: string; backedUp: boolean; createdAt: string; usedAt: string | undefined }[]
  /** Whether the user signed in recently enough to add one. */
  recent: boolean
  /** Whether removing the last one would lock the user out. */
  lastIsNeeded: boolean
}

export function passkeysPage({ shell, csrf, passkeys, recent, lastIsNeeded }: PasskeysProps) {
  return (
    <Layout title="Passkeys" shell={shell} wide passkeys>
      <AccountTabs at="/account/passkeys" shell={shell} />
      <h1>Passkeys</h1>
      <p>
        With a passkey you sign in with your fingerprint, your face or the PIN of your device or security key, without a
        password or a link. It works only on this server.
      </p>
      {passkeys.length === 0 ? (
        <p class="card">You have no passkey yet.</p>
      ) : (
        <ul class="list card">
          {passkeys.map(passkey => (
            <PasskeyRow passkey={passkey} csrf={csrf} isNeeded={lastIsNeeded && passkeys.length === 1} />
          ))}
        </ul>
      )}
      {recent ? (
        <form
          class="card"
          method="post"
          action="/account/passkeys/add"
          data-passkey="add"
          data-options="/account/passkeys/options"
          {...{ hidden: true }}
        >
          <h2>Add a passkey</h2>
          <Csrf token={csrf} />
          <input type="hidden" name="credential" value="" />
          <label for="name">Name, such as “laptop” or “security key”</label>
          <input class="field" id="name" name="name" required maxlength="60" autocomplete="off" />
          <PasskeyProblem text="No passkey was made. Perhaps this device has one already, or the request was cancelled." />
          <button type="submit">Add a passkey</button>
        </form>
      ) : (
        <SignInAgain what="To add a passkey" page="/account/passkeys" />
      )}
      <noscript>
        <p class="note calm">
          <span>Adding a passkey needs JavaScript.</span>
        </p>
      </noscript>
    </Layout>
  )
}

function PasskeyRow(props: { passkey: PasskeysProps['passkeys'][number]; csrf: string; isNeeded: boolean }) {
  const { id, name, backedUp, createdAt, usedAt } = props.passkey
  return (
    <li class="row">
      <div>
        <strong safe>{name}</strong> {backedUp ? <span class="badge calm">synchronised</span> : ''}
        <small>
          Added <Time iso={createdAt} />
          {usedAt === undefined ? (
            ', not used yet.'
          ) : (
            <>
              , last used <Time iso={usedAt} />.
            </>
          )}
        </small>
      </div>
      <div class="buttons">
        <details class="confirm" name="confirm">
          <summary class="button small" aria-label={`Rename ${name}`}>
            Rename…
          </summary>
          <form method="post" action="/account/passkeys/rename">
            <Csrf token={props.csrf} />
            <input type="hidden" name="id" value={id} />
            <label>
              Name
              <input class="field" name="name" required maxlength="60" value={name} autocomplete="off" />
            </label>
            <button class="small" type="submit">
              Rename
            </button>
          </form>
        </details>
        <details class="confirm" name="confirm">
          <summary class="button small" aria-label={`Remove ${name}`}>
            Remove…
          </summary>
          {props.isNeeded ? (
            <div>
              <p>This is your only way to sign in. Add another passkey before you remove it.</p>
            </div>
          ) : (
            <form method="post" action="/account/passkeys/remove">
              <Csrf token={props.csrf} />
              <input type="hidden" name="id" value={id} />
              <p>You can no longer sign in with it. Delete it on your device, too.</p>
              <button class="small danger" type="submit">
                Remove
              </button>
            </form>
          )}
        </details>
      </div>
    </li>
  )
}
