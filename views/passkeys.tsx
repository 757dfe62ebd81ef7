/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { AccountTabs } from './account-tabs.tsx'
import { Confirm, Csrf, SignInAgainFirst, Time } from './components.tsx'
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
      <button class={isOnly ? 'primary' : 'choice'} type="submit">
        <Icon name="key" /> <span safe>{t.withPasskey}</span>
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
  /** Whether the user signed in recently enough to add or remove one. */
  recent: boolean
  /** Whether removing the last one would lock the user out. */
  lastIsNeeded: boolean
}

export function passkeysPage({ shell, csrf, passkeys, recent, lastIsNeeded }: PasskeysProps) {
  const { t } = shell
  return (
    <Layout title={t.tabPasskeys} shell={shell} wide passkeys translated>
      <AccountTabs at="/account/passkeys" shell={shell} />
      <h1 safe>{t.tabPasskeys}</h1>
      <p safe>{t.passkeysIntro}</p>
      {passkeys.length === 0 ? (
        <p class="card" safe>
          {t.noPasskeys}
        </p>
      ) : (
        <ul class="list card">
          {passkeys.map(passkey => (
            <PasskeyRow
              shell={shell}
              csrf={csrf}
              passkey={passkey}
              recent={recent}
              isNeeded={lastIsNeeded && passkeys.length === 1}
            />
          ))}
        </ul>
      )}
      {recent ? <AddPasskey csrf={csrf} t={t} /> : <SignInAgainFirst t={t} path={PATH} />}
      <noscript>
        <p class="note calm">
          <Icon name="info" />
          <span safe>{t.passkeyNeedsScript}</span>
        </p>
      </noscript>
    </Layout>
  )
}

const PATH = '/account/passkeys'

function AddPasskey({ csrf, t }: { csrf: string; t: Texts }) {
  return (
    <form
      class="card"
      method="post"
      action={`${PATH}/add`}
      data-passkey="add"
      data-options={`${PATH}/options`}
      {...{ hidden: true }}
    >
      <h2 safe>{t.addPasskey}</h2>
      <Csrf token={csrf} />
      <input type="hidden" name="credential" value="" />
      <label for="name" safe>
        {t.passkeyName}
      </label>
      <input class="field" id="name" name="name" required maxlength="60" autocomplete="off" />
      <PasskeyProblem text={t.passkeyNotMade} />
      <button type="submit" safe>
        {t.addPasskey}
      </button>
    </form>
  )
}

function PasskeyRow(props: {
  shell: Shell
  csrf: string
  passkey: PasskeysProps['passkeys'][number]
  recent: boolean
  isNeeded: boolean
}) {
  const { t, language } = props.shell
  const { id, name, backedUp, createdAt, usedAt } = props.passkey
  return (
    <li class="row">
      <div>
        <strong safe>{name}</strong>{' '}
        {backedUp ? (
          <span class="badge calm" safe>
            {t.synchronised}
          </span>
        ) : (
          ''
        )}
        <dl class="facts">
          <dt safe>{t.addedAt}</dt>
          <dd>
            <Time iso={createdAt} language={language} />
          </dd>
          <dt safe>{t.lastUsed}</dt>
          <dd>{usedAt === undefined ? <span safe>{t.notYet}</span> : <Time iso={usedAt} language={language} />}</dd>
        </dl>
      </div>
      <div class="buttons">
        <Confirm label={t.rename} about={name}>
          <form method="post" action={`${PATH}/rename`}>
            <Csrf token={props.csrf} />
            <input type="hidden" name="id" value={id} />
            <label>
              <span safe>{t.connectionName}</span>
              <input class="field" name="name" required maxlength="60" value={name} autocomplete="off" />
            </label>
            <button class="small" type="submit" safe>
              {t.save}
            </button>
          </form>
        </Confirm>
        <Confirm label={t.remove} about={name} danger>
          <RemovePasskey {...props} />
        </Confirm>
      </div>
    </li>
  )
}

function RemovePasskey(props: Parameters<typeof PasskeyRow>[0]) {
  const { t } = props.shell
  if (props.isNeeded)
    return (
      <div>
        <p safe>{t.onlyWayIn}</p>
      </div>
    )
  if (!props.recent)
    return (
      <div>
        <SignInAgainFirst t={t} path={PATH} />
      </div>
    )
  return (
    <form method="post" action={`${PATH}/remove`}>
      <Csrf token={props.csrf} />
      <input type="hidden" name="id" value={props.passkey.id} />
      <p safe>{t.removePasskeySure}</p>
      <button class="small danger" type="submit" safe>
        {t.remove}
      </button>
    </form>
  )
}
