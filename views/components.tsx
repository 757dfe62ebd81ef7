/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import type { PropsWithChildren } from '@kitajs/html'
import { Icon } from './icons.tsx'
import { exactTime } from './texts/format.ts'
import { fill, type Language, TEXTS, type Texts } from './texts/index.ts'

/** How far a client's name can be trusted. */
export interface ClientLabel {
  name: string
  /** The operator who added it, or the host of its metadata document. Any other client chose its own name. */
  voucher: { by: 'operator' } | { by: 'host'; host: string } | { by: 'nobody' }
}

export function ClientName({ client, t = TEXTS.en }: { client: ClientLabel; t?: Texts }) {
  return (
    <span class="client">
      <strong safe>{client.name}</strong> <Voucher voucher={client.voucher} t={t} />
    </span>
  )
}

function Voucher({ voucher, t }: { voucher: ClientLabel['voucher']; t: Texts }) {
  return (
    <span class={`badge ${voucher.by === 'nobody' ? 'warn' : 'good'}`} safe>
      {voucher.by === 'operator'
        ? t.addedByOperator
        : voucher.by === 'host'
          ? fill(t.fromHost, { host: voucher.host })
          : t.unverifiedName}
    </span>
  )
}

/** What the badge beside a client's name means. */
export function aboutClient({ voucher }: ClientLabel, t: Texts): string {
  if (voucher.by === 'operator') return t.aboutOperator
  return voucher.by === 'host' ? fill(t.aboutHost, { host: voucher.host }) : t.aboutNobody
}

/** A text with elements, which render at once, in the places of its placeholders. */
export function Phrase({ text, ...parts }: { text: string } & { [part: string]: JSX.Element }) {
  const safeHtml = String(text)
    .split(/\{(\w+)\}/)
    .map((piece, i) => (i % 2 === 1 ? parts[piece] : Html.escapeHtml(piece)))
    .join('')
  return <>{safeHtml}</>
}

/** A warning, with its icon. */
export function Warning({ text }: { text: string }) {
  return (
    <p class="note warn">
      <Icon name="warning" />
      <span safe>{text}</span>
    </p>
  )
}

/** An error message, announced by screen readers when it appears. */
export function Problem({ text }: { text: string | undefined }) {
  return text === undefined ? (
    ''
  ) : (
    <p class="problem" id="problem" role="alert">
      <Icon name="warning" />
      <span safe>{text}</span>
    </p>
  )
}

/** Of the field that a problem is about: it takes the focus, and screen readers read the message with it. */
export const faultyField = (problem: string | undefined) =>
  problem === undefined ? {} : { autofocus: true, 'aria-invalid': 'true' as const, 'aria-describedby': 'problem' }

/** What has just been done, announced by screen readers. */
export function Notice({ text }: { text: string }) {
  return (
    <p class="note good" role="status">
      <Icon name="check" />
      <span safe>{text}</span>
    </p>
  )
}

/** A time in UTC, which `page.js` turns into a relative one with the exact one of the reader's zone as its title. */
export function Time({ iso, language = 'en' }: { iso: string; language?: Language }) {
  return (
    <time datetime={iso} safe>
      {exactTime(language, iso)}
    </time>
  )
}

const TAKE_FOCUS = { autofocus: true }

/** What htmx has just done. Takes the focus, which was on a button that is gone. */
export function Done({ text }: { text: string }) {
  return (
    <p class="note good" role="status" tabindex="-1" {...TAKE_FOCUS}>
      <Icon name="check" />
      <span safe>{text}</span>
    </p>
  )
}

/** A button that first shows a form, which says what will happen. @param about What it is done to, for screen readers. */
export function Confirm(props: PropsWithChildren<{ label: string; about?: string; danger?: boolean }>) {
  const { label, about, danger, children } = props
  return (
    <details class="confirm" name="confirm">
      <summary class={['button', 'small', danger && 'danger']}>
        <span safe>{`${label}…`}</span>
        {about === undefined ? '' : <span class="unseen" safe>{` ${about}`}</span>}
      </summary>
      {children as 'safe'}
    </details>
  )
}

/** An address that breaks before its host and before each part of its path, where it does not fit in a line. */
export function Address({ url }: { url: string }) {
  return (
    <span>
      {
        url
          .split(/(?<=\/\/)|(?<!\/)(?=\/[^/])/)
          .map(part => Html.escapeHtml(part))
          .join('<wbr>') as 'safe'
      }
    </span>
  )
}

/** Leads to a new sign-in, which what follows needs. @param path To return to. */
export function SignInAgainFirst({ t, path }: { t: Texts; path: string }) {
  return (
    <p class="note calm">
      <Icon name="info" />
      <span>
        <Phrase
          text={t.signInAgainFirst}
          link={
            <a href={`/auth/signin?return_to=${encodeURIComponent(path)}&again=1`} safe>
              {t.signInAgainLink}
            </a>
          }
        />
      </span>
    </p>
  )
}

/** A QR code. @param path Of its dark modules, in an SVG that is `size` wide. */
export function QrCode({ qr: { path, size }, label }: { qr: Qr; label: string }) {
  return (
    <svg class="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label}>
      <path d={path} />
    </svg>
  )
}

export interface Qr {
  path: string
  size: number
}

/** For somebody who would rather go on with a phone, where they are signed in already. */
export function OnPhone({ qr, t }: { qr: Qr | undefined; t: Texts }) {
  return qr === undefined ? (
    ''
  ) : (
    <details class="on-phone">
      <summary>
        <Icon name="phone" /> <span safe>{t.continueOnPhone}</span>
      </summary>
      <p safe>{t.scanCode}</p>
      <QrCode qr={qr} label={t.continueOnPhone} />
    </details>
  )
}

export function Csrf({ token }: { token: string }) {
  return <input type="hidden" name="csrf" value={token} />
}

/** Text to copy, with a button that `page.js` shows. */
export function Snippet({ id, text, t }: { id: string; text: string; t: Texts }) {
  return (
    <div class="snippet">
      <pre>
        <code id={id} safe>
          {text}
        </code>
      </pre>
      <button class="small" type="button" data-copy={id} data-copied={t.copied} hidden safe>
        {t.copy}
      </button>
    </div>
  )
}
