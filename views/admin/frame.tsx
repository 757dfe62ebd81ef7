/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import type { PropsWithChildren } from '@kitajs/html'
import { Csrf, Warning } from '../components.tsx'
import { Icon } from '../icons.tsx'
import { Layout, type Shell } from '../layout.tsx'

const SECTIONS = {
  overview: 'Overview',
  users: 'Users',
  clients: 'Clients',
  connections: 'Connections',
  upstreams: 'Upstreams',
  audit: 'Audit log',
  traces: 'Traces',
  settings: 'Settings',
} as const
export type Section = keyof typeof SECTIONS

/** What the frame of every administrator's page shows. */
export interface AdminFrame {
  shell: Shell
  section: Section
  /** The address of the page. */
  here: string
  /** For the forms of this section. */
  csrf: string
  /** Whether the administrator signed in recently, which dangerous forms need. */
  recent: boolean
  /** Whether a form was too long to be kept while they signed in again. */
  lost?: boolean
}

const pathOf = (section: string) => (section === 'overview' ? '/admin' : `/admin/${section}`)

/**
 * @param title Of a page below the section's own.
 * @param guarded Whether the page has forms that need a recent sign-in.
 * @param live Whether it uses htmx.
 */
export function AdminPage({
  frame,
  title,
  guarded,
  live,
  children,
}: PropsWithChildren<{ frame: AdminFrame; title?: string; guarded?: boolean; live?: boolean }>) {
  const section = SECTIONS[frame.section]
  return (
    <Layout title={`${title ?? section} · Administration`} shell={frame.shell} wide="wider" live={live === true}>
      <nav class="tabs" aria-label="Administration">
        {Object.entries(SECTIONS).map(([section, name]) => (
          <a href={pathOf(section)} aria-current={section === frame.section ? 'page' : undefined}>
            {name}
          </a>
        ))}
      </nav>
      <h1 safe>{title ?? section}</h1>
      {title === undefined ? (
        ''
      ) : (
        <p class="back">
          <a href={pathOf(frame.section)} safe>{`All ${section.toLowerCase()}`}</a>
        </p>
      )}
      {frame.lost ? (
        <Warning text="What you typed was too long to keep while you signed in again. Please type it once more." />
      ) : (
        ''
      )}
      {guarded && !frame.recent ? (
        <p class="note warn">
          <Icon name="warning" />
          <span>
            You signed in a while ago. Before you grant or revoke rights here,{' '}
            <a href={`/auth/signin?return_to=${encodeURIComponent(frame.here)}&again=1`}>sign in again</a>.
          </span>
        </p>
      ) : (
        ''
      )}
      {children as 'safe'}
    </Layout>
  )
}

/** A small form with one button. */
export function ActionForm(props: {
  action: string
  csrf: string
  fields: Record<string, string>
  label: string
  /** For screen readers, where the label alone says too little. */
  about: string
  danger?: boolean
}) {
  return (
    <form method="post" action={props.action}>
      <Csrf token={props.csrf} />
      {Object.entries(props.fields).map(([name, value]) => (
        <input type="hidden" name={name} value={value} />
      ))}
      <button
        class={props.danger ? 'small danger' : 'small'}
        type="submit"
        aria-label={`${props.label}: ${props.about}`}
        safe
      >
        {props.label}
      </button>
    </form>
  )
}

/** The same, behind a disclosure that says what will happen first. */
export function ConfirmForm(props: Parameters<typeof ActionForm>[0] & { consequence: string }) {
  return (
    <details class="confirm" name="confirm">
      <summary class="button small" aria-label={`${props.label}: ${props.about}`} safe>
        {`${props.label}…`}
      </summary>
      <div>
        <p safe>{props.consequence}</p>
        <ActionForm {...props} danger />
      </div>
    </details>
  )
}

/** The link to the next page of a list. */
export function Next({ href, label = 'Next page' }: { href: string | undefined; label?: string }) {
  return href === undefined ? (
    ''
  ) : (
    <p class="links">
      <a class="button small" href={href} rel="next" safe>
        {label}
      </a>
    </p>
  )
}
