/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { aboutClient, type ClientLabel, ClientName, Phrase, Problem, Warning } from './components.tsx'
import { Mark } from './icons.tsx'
import { Layout, type Shell } from './layout.tsx'
import { type Asked, DecisionForm } from './permissions.tsx'
import { duration } from './texts/format.ts'
import { fill, type Texts } from './texts/index.ts'

/** Where the browser goes afterwards. Any local program could listen on this computer, or claim the scheme of an app. */
export type Destination = { kind: 'host'; host: string } | { kind: 'computer' } | { kind: 'app'; scheme: string }

function nameOf(destination: Destination, t: Texts): string {
  if (destination.kind === 'host') return destination.host
  return destination.kind === 'computer' ? t.thisComputer : fill(t.appOnDevice, { scheme: destination.scheme })
}

/** As the end of "You are being sent back to". */
const goalOf = (destination: Destination, t: Texts) =>
  destination.kind === 'computer' ? t.theApp : nameOf(destination, t)

export interface ConsentProps extends Asked {
  shell: Shell
  email: string
  csrf: string
  /** Id of the kept request. */
  request: string
  client: ClientLabel
  destination: Destination
  /** URL of the requested MCP endpoint. */
  resource: string
  /** The form came back without any permission. */
  nothingChosen?: boolean
}

export function consentPage(props: ConsentProps) {
  const { shell, email, csrf, request, client, destination } = props
  const { t } = shell
  const couldBeAnother = destination.kind !== 'host' && client.voucher.by !== 'nobody'
  return (
    <Layout title={t.connectApp} shell={shell} translated>
      <div class="card">
        <h1 safe>{t.connectApp}</h1>
        <p>
          <Phrase text={t.asksForAccess} app={<ClientName client={client} t={t} />} email={<b safe>{email}</b>} />
        </p>
        {couldBeAnother ? (
          <Warning text={fill(t.impostor, { destination: nameOf(destination, t), app: client.name })} />
        ) : (
          ''
        )}
        <DecisionForm
          shell={shell}
          action="/api/oauth/authorize/decision"
          csrf={csrf}
          field={{ name: 'request', value: request }}
          asked={props}
          facts={<ConsentFacts {...props} />}
          hint={couldBeAnother ? t.onlyIfStartedApp : `${aboutClient(client, t)} ${t.onlyIfStartedApp}`}
          problem={<Problem text={props.nothingChosen ? t.chooseOne : undefined} />}
        />
      </div>
    </Layout>
  )
}

function ConsentFacts({ shell: { t, language }, resource, destination, lasts }: ConsentProps) {
  return (
    <dl class="facts">
      <dt safe>{t.server}</dt>
      <dd safe>{resource}</dd>
      <dt safe>{t.returnsTo}</dt>
      <dd>
        <b safe>{nameOf(destination, t)}</b>
      </dd>
      <dt safe>{t.lasts}</dt>
      <dd safe>{fill(t.atMost, { duration: duration(language, lasts) })}</dd>
    </dl>
  )
}

/** Shown while the browser returns to the app, and longer if the app shows no page of its own. */
export function answerPage(props: {
  shell: Shell
  decision: 'approved' | 'denied'
  client: ClientLabel
  href: string
  destination: Destination
}) {
  const { t } = props.shell
  const approved = props.decision === 'approved'
  const title = approved ? t.approved : t.denied
  return (
    <Layout title={title} shell={props.shell} translated>
      <div class="card">
        {approved ? <Mark kind="good" icon="check" /> : <Mark kind="calm" icon="cross" />}
        <h1 safe>{title}</h1>
        <p>
          {approved ? (
            ''
          ) : (
            <>
              <Phrase text={t.gotNoAccess} app={<b safe>{props.client.name}</b>} />{' '}
            </>
          )}
          <Phrase text={t.sentBack} destination={<b safe>{goalOf(props.destination, t)}</b>} />
        </p>
        <p>
          <Phrase
            text={t.ifNothing}
            link={
              <a href={props.href} safe>
                {t.continueManually}
              </a>
            }
          />{' '}
          {approved ? <span safe>{t.mayClose}</span> : ''}
        </p>
      </div>
    </Layout>
  )
}

/** An error in the request of an unverified client: the user decides whether to follow its redirect URI. */
export function refusedRequestPage(props: {
  shell: Shell
  client: ClientLabel
  description: string
  href: string
  destination: Destination
}) {
  const { t } = props.shell
  return (
    <Layout title={t.invalidRequest} shell={props.shell} translated>
      <div class="card">
        <Mark kind="bad" icon="warning" />
        <h1 safe>{t.invalidRequest}</h1>
        <p>
          <Phrase text={t.requestRefused} app={<ClientName client={props.client} t={t} />} />
        </p>
        <p class="problem" lang="en" safe>
          {props.description}
        </p>
        <p safe>{t.returnWithError}</p>
        <p class="links">
          <a href={props.href} safe>
            {fill(t.goTo, { destination: goalOf(props.destination, t) })}
          </a>
        </p>
      </div>
    </Layout>
  )
}
