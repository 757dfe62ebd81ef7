/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Csrf } from '../components.tsx'

export interface Piece {
  text: string
  isChanged: boolean
}

export interface FieldChange {
  field: string
  before: Piece[]
  after: Piece[]
  /** Only the beginning is shown. */
  isCut: boolean
}

export interface ToolChange {
  name: string
  /** The fingerprint of what is offered now. */
  pending: string
  /** How many people and machines were offered it. */
  people: number
  fields: FieldChange[]
  /** Whether what was accepted before is stored. */
  isKnown: boolean
}

/** Changed tools, accepted text beside offered text, and the form that accepts them. */
export function ToolChanges(props: { upstream: string; changes: readonly ToolChange[]; more: boolean; csrf: string }) {
  const { upstream, changes, more, csrf } = props
  const count = changes.length === 1 ? 'this tool' : `these ${changes.length} tools`
  return (
    <section aria-labelledby="changed">
      <h2 id="changed">Changed tools</h2>
      <p>
        What these tools say of themselves has changed since it was accepted, so nobody can use them. The texts are
        quoted: they are the upstream’s words, not ours. Accept only what you would have installed.
      </p>
      {changes.map(change => (
        <Change change={change} />
      ))}
      {more ? <p class="hint">There are more, which are shown when these are accepted.</p> : ''}
      <form class="card" method="post" action="/admin/upstreams/trust">
        <Csrf token={csrf} />
        <input type="hidden" name="name" value={upstream} />
        <input type="hidden" name="seen" value={changes.map(({ pending }) => pending).join(' ')} />
        <p>Once you trust them, apps can list and call them again, on every server.</p>
        <button class="small" type="submit" safe>
          {`Trust ${count}`}
        </button>
      </form>
    </section>
  )
}

function Change({ change: { name, people, fields, isKnown } }: { change: ToolChange }) {
  return (
    <article class="card change">
      <h3>
        <code safe>{name}</code> {people > 1 ? <small safe>{`offered to ${people} people or machines`}</small> : ''}
      </h3>
      {isKnown ? '' : <p class="hint">The accepted text was not stored by an older version, so it cannot be shown.</p>}
      {fields.length === 0 ? <p class="hint">They differ beyond the first 64 KB, which are stored.</p> : ''}
      {fields.map(({ field, before, after, isCut }) => (
        <div>
          <h4 safe>{isCut ? `${field} (the beginning)` : field}</h4>
          <div class="sides">
            <Side title="Accepted" pieces={before} kind="del" />
            <Side title="Now" pieces={after} kind="ins" />
          </div>
        </div>
      ))}
    </article>
  )
}

function Side({ title, pieces, kind }: { title: string; pieces: readonly Piece[]; kind: 'del' | 'ins' }) {
  return (
    <figure>
      <figcaption safe>{title}</figcaption>
      <blockquote>
        {pieces.every(({ text }) => text === '') ? (
          <i>nothing</i>
        ) : (
          pieces.map(({ text, isChanged }) =>
            !isChanged ? <span safe>{text}</span> : kind === 'del' ? <del safe>{text}</del> : <ins safe>{text}</ins>,
          )
        )}
      </blockquote>
    </figure>
  )
}
