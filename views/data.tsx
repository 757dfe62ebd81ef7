/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { AccountTabs } from './account-tabs.tsx'
import { Csrf, faultyField, Phrase, Problem, SignInAgainFirst } from './components.tsx'
import { Layout, type Shell } from './layout.tsx'
import { duration } from './texts/format.ts'
import { fill } from './texts/index.ts'

export interface DataProps {
  shell: Shell
  csrf: string
  email: string
  /** Whether the user signed in recently enough to delete the account. */
  recent: boolean
  /** How long the audit log is kept; 0: for ever. */
  auditDays: number
  problem: string | undefined
}

export function dataPage({ shell, csrf, email, recent, auditDays, problem }: DataProps) {
  const { t, language } = shell
  return (
    <Layout title={t.tabData} shell={shell} wide translated>
      <AccountTabs at="/account/data" shell={shell} />
      <h1 safe>{t.tabData}</h1>
      <div class="card">
        <h2 safe>{t.exportTitle}</h2>
        <p safe>{t.exportText}</p>
        <p>
          <a class="button small" href="/account/export" download="account.json" safe>
            {t.download}
          </a>
        </p>
      </div>
      <div class="card">
        <h2 safe>{t.deleteAccount}</h2>
        <p safe>{t.deleteText}</p>
        <p class="hint" safe>
          {auditDays === 0
            ? t.auditStaysForever
            : fill(t.auditStays, { duration: duration(language, auditDays * 86_400) })}
        </p>
        {recent ? (
          <form method="post" action="/account/data/delete">
            <Csrf token={csrf} />
            <Problem text={problem} />
            <label for="email">
              <Phrase text={t.typeAddress} email={<b safe>{email}</b>} />
            </label>
            <input
              class="field"
              id="email"
              name="email"
              type="email"
              required
              autocomplete="off"
              spellcheck="false"
              {...faultyField(problem)}
            />
            <button class="small danger" type="submit" safe>
              {t.deleteAccount}
            </button>
          </form>
        ) : (
          <SignInAgainFirst t={t} path="/account/data" />
        )}
      </div>
    </Layout>
  )
}
