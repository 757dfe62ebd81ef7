/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { AccountTabs } from './account-tabs.tsx'
import { Address, Confirm, Csrf, Phrase, Problem, SignInAgainFirst, Snippet, Time } from './components.tsx'
import { Icon } from './icons.tsx'
import { Layout, type Shell } from './layout.tsx'
import { type Permission, textOf } from './permissions.tsx'
import { fill } from './texts/index.ts'

export interface TokensProps {
  shell: Shell
  csrf: string
  tokens: {
    id: string
    name: string
    permissions: Permission[]
    resource: string
    createdAt: string
    expiresAt: string
    isExpired: boolean
    usedAt: string | undefined
  }[]
  scopes: Permission[]
  /** Whether the user signed in recently enough to make one. */
  recent: boolean
  typed: { name: string; days: string; scopes: readonly string[]; problem: string | undefined }
}

export function tokensPage({ shell, csrf, tokens, scopes, recent, typed }: TokensProps) {
  const { t } = shell
  return (
    <Layout title={t.tokens} shell={shell} wide translated>
      <AccountTabs at="/account/tokens" shell={shell} />
      <h1 safe>{t.tokens}</h1>
      <p safe>{t.tokensIntro}</p>
      {tokens.length === 0 ? (
        <p class="card" safe>
          {t.noTokens}
        </p>
      ) : (
        <ul class="list card">
          {tokens.map(token => (
            <TokenRow shell={shell} token={token} csrf={csrf} />
          ))}
        </ul>
      )}
      {recent ? (
        <TokenForm shell={shell} csrf={csrf} scopes={scopes} typed={typed} />
      ) : (
        <SignInAgainFirst t={t} path="/account/tokens" />
      )}
    </Layout>
  )
}

function TokenForm({ shell: { t }, csrf, scopes, typed }: Pick<TokensProps, 'shell' | 'csrf' | 'scopes' | 'typed'>) {
  return (
    <form class="card" method="post" action="/account/tokens/add">
      <h2 safe>{t.makeToken}</h2>
      <Csrf token={csrf} />
      <Problem text={typed.problem} />
      <label for="name" safe>
        {t.tokenName}
      </label>
      <input class="field" id="name" name="name" required maxlength="100" value={typed.name} autocomplete="off" />
      <label for="days" safe>
        {t.tokenDays}
      </label>
      <input class="field" id="days" name="days" type="number" min="1" max="1825" required value={typed.days} />
      <fieldset>
        <legend safe>{t.allowsWhat}</legend>
        {scopes.map(permission => (
          <label class="check">
            <input
              type="checkbox"
              name={`scope:${permission.scope}`}
              value="yes"
              checked={typed.scopes.includes(permission.scope)}
            />
            <span>
              <span safe>{textOf(t, permission)}</span> <code safe>{permission.scope}</code>
            </span>
          </label>
        ))}
      </fieldset>
      <button type="submit" safe>
        {t.makeToken}
      </button>
    </form>
  )
}

function TokenRow(props: { shell: Shell; token: TokensProps['tokens'][number]; csrf: string }) {
  const { t, language } = props.shell
  const { id, name, permissions, resource, createdAt, expiresAt, isExpired, usedAt } = props.token
  return (
    <li class="row">
      <div>
        <strong safe>{name}</strong>{' '}
        {isExpired ? (
          <span class="badge warn" safe>
            {t.expired}
          </span>
        ) : (
          ''
        )}
        <ul>
          {permissions.map(permission => (
            <li safe>{textOf(t, permission)}</li>
          ))}
        </ul>
        <dl class="facts">
          <dt safe>{t.server}</dt>
          <dd>
            <Address url={resource} />
          </dd>
          <dt safe>{t.madeAt}</dt>
          <dd>
            <Time iso={createdAt} language={language} />
          </dd>
          <dt safe>{t.lastUsed}</dt>
          <dd>{usedAt === undefined ? <span safe>{t.notYet}</span> : <Time iso={usedAt} language={language} />}</dd>
          <dt safe>{t.until}</dt>
          <dd>
            <Time iso={expiresAt} language={language} />
          </dd>
        </dl>
      </div>
      <Confirm label={t.revoke} about={name} danger>
        <form method="post" action="/account/tokens/revoke">
          <Csrf token={props.csrf} />
          <input type="hidden" name="id" value={id} />
          <p safe>{t.revokeSure}</p>
          <button class="small danger" type="submit" safe>
            {t.revoke}
          </button>
        </form>
      </Confirm>
    </li>
  )
}

/** Shown once. */
export function newTokenPage(props: { shell: Shell; name: string; token: string; expiresAt: string }) {
  const { t, language } = props.shell
  const title = fill(t.tokenTitle, { name: props.name })
  return (
    <Layout title={title} shell={props.shell} wide translated>
      <AccountTabs at="/account/tokens" shell={props.shell} />
      <h1 safe>{title}</h1>
      <div class="card">
        <Snippet id="token" text={props.token} t={t} />
        <p class="note warn">
          <Icon name="warning" />
          <span>
            <Phrase text={t.shownOnce} time={<Time iso={props.expiresAt} language={language} />} />
          </span>
        </p>
        <p class="links">
          <a href="/account/tokens" safe>
            {t.backToTokens}
          </a>
        </p>
      </div>
    </Layout>
  )
}
