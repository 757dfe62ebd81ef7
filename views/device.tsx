/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import {
  aboutClient,
  type ClientLabel,
  ClientName,
  Csrf,
  OnPhone,
  Phrase,
  Problem,
  type Qr,
  Time,
  Warning,
} from './components.tsx'
import { Mark } from './icons.tsx'
import { fullTitle, Layout, type Shell } from './layout.tsx'
import { type Asked, DecisionForm } from './permissions.tsx'
import { duration } from './texts/format.ts'
import { fill } from './texts/index.ts'

export interface DeviceEntryProps {
  shell: Shell
  csrf: string
  /** From the link, or as typed before. */
  code: string
  problem?: EntryProblem | undefined
  /** The link with the code, for a phone. */
  qr: Qr | undefined
}

export type EntryProblem =
  | { kind: 'missing' }
  | { kind: 'wrong'; triesLeft: number }
  /** No more codes are accepted for a while. */
  | { kind: 'blocked'; seconds: number; network: boolean }

export function deviceEntryPage(props: DeviceEntryProps) {
  return (
    <Layout title={props.shell.t.connectDevice} shell={props.shell} live translated>
      {deviceEntry(props)}
    </Layout>
  )
}

function problemText({ t, language }: Shell, problem: EntryProblem | undefined): string | undefined {
  if (problem === undefined) return undefined
  if (problem.kind === 'missing') return t.enterCode
  if (problem.kind === 'wrong')
    return `${t.wrongCode} ${fill(t.triesLeft, { count: problem.triesLeft.toLocaleString(language) })}`
  const wait = duration(language, Math.ceil(problem.seconds / 60) * 60)
  return fill(problem.network ? t.tooManyCodesNetwork : t.tooManyCodes, { duration: wait })
}

/** The form for the user code. If the code is wrong, htmx replaces it with itself and a message. */
export function deviceEntry({ shell, csrf, code, problem, qr }: DeviceEntryProps) {
  const { t } = shell
  const isPrefilled = code !== '' && !problem
  const isBlocked = problem?.kind === 'blocked'
  return (
    <div class="card" id="entry">
      <h1 safe>{t.connectDevice}</h1>
      {isBlocked ? '' : <p safe>{isPrefilled ? t.checkCode : t.enterCode}</p>}
      <Problem text={problemText(shell, problem)} />
      {isBlocked ? (
        <p class="links">
          <a href="/auth/device" {...TAKE_FOCUS} safe>
            {t.tryAgain}
          </a>
          <a href="/" safe>
            {t.frontPage}
          </a>
        </p>
      ) : (
        <form
          method="post"
          action="/api/oauth/device/verify"
          hx-post="/api/oauth/device/verify"
          hx-target="#entry"
          hx-swap="outerHTML"
        >
          <Csrf token={csrf} />
          <label for="user_code" safe>
            {t.code}
          </label>
          <input
            class="code"
            id="user_code"
            name="user_code"
            value={code}
            required
            placeholder="XXXX-XXXX"
            autocomplete="off"
            autocapitalize="characters"
            spellcheck="false"
            autofocus={!isPrefilled}
            aria-invalid={problem ? 'true' : undefined}
            aria-describedby={problem ? 'problem' : undefined}
          />
          <button class="primary" type="submit" {...(isPrefilled ? TAKE_FOCUS : {})} safe>
            {t.goOn}
          </button>
        </form>
      )}
      {isBlocked ? '' : <Warning text={t.sentByOthers} />}
      {isPrefilled ? <OnPhone qr={qr} t={t} /> : ''}
    </div>
  )
}

const TAKE_FOCUS = { autofocus: true }

export interface DeviceRequestProps extends Asked {
  shell: Shell
  id: string
  email: string
  csrf: string
  state: 'undecided' | 'approved' | 'denied' | 'fetched' | 'expired'
  userCode: string
  client: ClientLabel
  /** URL of the requested MCP endpoint. */
  resource: string
  requestedAt: string
  ip: string | undefined
  /** Whether the request came from the network of whoever looks at the page. */
  sameNetwork: boolean
  agent: string | undefined
  /** The form came back without any permission. */
  nothingChosen?: boolean
}

export function deviceRequestPage(props: DeviceRequestProps) {
  const undecided = props.state === 'undecided'
  return (
    <Layout title={titleOf(props)} shell={props.shell} live={!undecided} translated>
      {undecided ? <DeviceDecision {...props} /> : <div aria-live="polite">{deviceStatus(props)}</div>}
    </Layout>
  )
}

/** What htmx gets: the state, and the page's new title. */
export function deviceStatusUpdate(props: DeviceStatusProps) {
  return (
    <>
      <title safe>{fullTitle(titleOf(props), props.shell)}</title>
      {deviceStatus(props)}
    </>
  )
}

function titleOf({ shell: { t }, state }: DeviceStatusProps): string {
  const titles = { undecided: t.didYouStart, approved: t.approved, fetched: t.connected, denied: t.denied }
  return state === 'expired' ? t.codeExpired : titles[state]
}

function DeviceDecision(props: DeviceRequestProps) {
  const { shell, id, email, csrf, userCode, client } = props
  const { t } = shell
  return (
    <div class="card">
      <h1 safe>{t.didYouStart}</h1>
      <p>
        <Phrase text={t.asksForAccess} app={<ClientName client={client} t={t} />} email={<b safe>{email}</b>} />
      </p>
      <p class="shown-code">
        <span safe>{t.mustShowCode}</span>
        <b class="code" safe>
          {userCode}
        </b>
      </p>
      <DecisionForm
        shell={shell}
        action="/api/oauth/device/authorize"
        csrf={csrf}
        field={{ name: 'id', value: id }}
        asked={props}
        facts={<DeviceFacts {...props} />}
        hint={t.onlyIfStarted}
        problem={<Problem text={props.nothingChosen ? t.chooseOne : undefined} />}
      />
    </div>
  )
}

function DeviceFacts({ shell, client, resource, requestedAt, ip, sameNetwork, agent, lasts }: DeviceRequestProps) {
  const { t, language } = shell
  return (
    <>
      <p class="hint" safe>
        {aboutClient(client, t)}
      </p>
      <dl class="facts">
        <dt safe>{t.server}</dt>
        <dd safe>{resource}</dd>
        <dt safe>{t.requested}</dt>
        <dd>
          <Time iso={requestedAt} language={language} />
        </dd>
        <dt safe>{t.from}</dt>
        <dd>
          <span safe>{ip === undefined ? t.unknown : sameNetwork ? `${ip}, ${t.sameNetwork}` : ip}</span>
          {agent === undefined ? (
            ''
          ) : (
            <small class="clipped" safe>
              {fill(t.callsItself, { agent })}
            </small>
          )}
        </dd>
        <dt safe>{t.lasts}</dt>
        <dd safe>{fill(t.atMost, { duration: duration(language, lasts) })}</dd>
      </dl>
    </>
  )
}

export type DeviceStatusProps = Pick<DeviceRequestProps, 'shell' | 'id' | 'state' | 'client'>

/** Errors while htmx polls leave the page unchanged; it polls again. */
const KEEP_ASKING = { 'hx-status:4xx': 'swap:none', 'hx-status:5xx': 'swap:none' }

/** The state of a decided request. Until the device has fetched its token, htmx polls and replaces it. */
export function deviceStatus({ shell: { t }, id, state, client }: DeviceStatusProps) {
  const app = <b safe>{client.name}</b>
  switch (state) {
    case 'approved':
      return (
        <div
          class="card"
          hx-get={`/auth/device/${id}/status`}
          hx-trigger="every 2s"
          hx-swap="outerHTML"
          {...KEEP_ASKING}
        >
          <Mark kind="good" icon="check" />
          <h1 safe>{t.approved}</h1>
          <p class="waiting">
            <Phrase text={t.waitingFor} app={app} />
          </p>
          <noscript>
            <p>
              <a href={`/auth/device/${id}`} safe>
                {t.seeWhether}
              </a>
            </p>
          </noscript>
        </div>
      )
    case 'fetched':
      return (
        <div class="card">
          <Mark kind="good" icon="check" />
          <h1 safe>{t.connected}</h1>
          <p>
            <Phrase text={t.nowHasAccess} app={app} />
          </p>
          <p class="links">
            <a href="/account" safe>
              {t.yourApps}
            </a>
          </p>
        </div>
      )
    case 'denied':
      return (
        <div class="card">
          <Mark kind="calm" icon="cross" />
          <h1 safe>{t.denied}</h1>
          <p>
            <Phrase text={t.gotNoAccess} app={app} /> <span safe>{t.notStartedByYou}</span>
          </p>
          <AnotherCode text={t.anotherCode} />
        </div>
      )
    default:
      return (
        <div class="card">
          <Mark kind="warn" icon="clock" />
          <h1 safe>{t.codeExpired}</h1>
          <p safe>{t.startAgain}</p>
          <AnotherCode text={t.anotherCode} />
        </div>
      )
  }
}

function AnotherCode({ text }: { text: string }) {
  return (
    <p class="links">
      <a href="/auth/device" safe>
        {text}
      </a>
    </p>
  )
}
