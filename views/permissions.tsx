/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Csrf, Phrase, Time } from './components.tsx'
import type { Shell } from './layout.tsx'
import { enumeration } from './texts/format.ts'
import { fill, type TextKey, type Texts } from './texts/index.ts'

export interface Permission {
  scope: string
  /** In English, for scopes that the configuration names. */
  text: string
}

/** The tools of an upstream server that an app could use. */
export interface OpenedServer {
  name: string
  /** Undefined if the server did not answer. */
  tools: Tool[] | undefined
}

interface Tool {
  name: string
  destructive: boolean
}

/** What an app asks for, as the device page and the consent page show it. */
export interface Asked {
  permissions: Permission[]
  opened: OpenedServer[]
  /** When an earlier connection of the same app was last used. */
  usedBefore: string | undefined
  /** How long access lasts, in seconds. */
  lasts: number
}

/** A permission in the reader's words. */
export const textOf = (t: Texts, { scope, text }: Permission): string => (scope in t ? t[scope as TextKey] : text)

/** The form field of a scope: checked ones are granted. Beside it, `choose` says that there was a choice. */
export const fieldOf = (scope: string): string => `allow:${scope}`

/**
 * What the app will be able to do, and the buttons: Deny is as prominent as Approve. Each permission can be left out.
 *
 * @param field Identifies the request.
 */
export function DecisionForm(props: {
  shell: Shell
  action: string
  csrf: string
  field: { name: string; value: string }
  asked: Asked
  facts: JSX.Element
  hint: string
  problem: JSX.Element
}) {
  const { t } = props.shell
  const { permissions, opened, usedBefore } = props.asked
  return (
    <form method="post" action={props.action}>
      <Csrf token={props.csrf} />
      <input type="hidden" name={props.field.name} value={props.field.value} />
      {props.problem as 'safe'}
      {permissions.length === 0 ? (
        ''
      ) : (
        <fieldset>
          <legend safe>{t.willBeAbleTo}</legend>
          <input type="hidden" name="choose" value="1" />
          {permissions.map(permission => (
            <label class="choice-row">
              <input type="checkbox" name={fieldOf(permission.scope)} value="1" checked />
              <span safe>{textOf(t, permission)}</span>
            </label>
          ))}
        </fieldset>
      )}
      <Opened shell={props.shell} servers={opened} />
      {props.facts as 'safe'}
      {usedBefore === undefined ? (
        ''
      ) : (
        <p class="hint">
          <Phrase text={t.alreadyConnected} time={<Time iso={usedBefore} language={props.shell.language} />} />
        </p>
      )}
      {permissions.length > 0 ? (
        <p class="hint" safe>
          {props.hint}
        </p>
      ) : (
        <p class="problem" safe>
          {t.onlyAdministrators}
        </p>
      )}
      <div class="decision">
        <button type="submit" name="decision" value="deny" safe>
          {t.deny}
        </button>
        {permissions.length > 0 ? (
          <button type="submit" name="decision" value="approve" safe>
            {t.approve}
          </button>
        ) : (
          ''
        )}
      </div>
    </form>
  )
}

function Opened({ shell: { t, language }, servers }: { shell: Shell; servers: OpenedServer[] }) {
  const listed = servers.flatMap(({ name, tools }) => (tools === undefined ? [] : [{ name, tools }]))
  const silent = servers.filter(({ tools }) => tools === undefined)
  const namesOf = (some: { name: string }[]) =>
    enumeration(
      language,
      some.map(({ name }) => name),
    )
  const count = listed.reduce((sum, { tools }) => sum + tools.length, 0)
  return (
    <>
      {listed.length === 0 ? (
        ''
      ) : (
        <details class="opened">
          <summary safe>{fill(t.tools, { count: count.toLocaleString(language), servers: namesOf(listed) })}</summary>
          {listed.map(server => (
            <Tools server={server} t={t} />
          ))}
        </details>
      )}
      {silent.length === 0 ? (
        ''
      ) : (
        <p class="hint" safe>
          {fill(t.silentServers, { servers: namesOf(silent) })}
        </p>
      )}
    </>
  )
}

function Tools({ server: { name, tools }, t }: { server: { name: string; tools: Tool[] }; t: Texts }) {
  return (
    <>
      <p class="of" safe>
        {name}
      </p>
      <ul>
        {tools.map(tool => (
          <li>
            <code safe>{tool.name}</code>{' '}
            {tool.destructive ? (
              <span class="badge bad" safe>
                {t.destructive}
              </span>
            ) : (
              ''
            )}
          </li>
        ))}
      </ul>
    </>
  )
}
