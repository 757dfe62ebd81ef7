/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'

/** Drawn on 24 by 24 units with the colour and width of the text around them. */
const PATHS = {
  check: 'M5 12.5l4.5 4.5L19 7.5',
  cross: 'M6.5 6.5l11 11M17.5 6.5l-11 11',
  clock: 'M12 7v5.5l3.5 2M12 3.5a8.5 8.5 0 1 0 .01 0',
  warning:
    'M12 9.5v4M12 16.7v.1M10.6 4.6L3.2 17.4A1.6 1.6 0 0 0 4.6 20h14.8a1.6 1.6 0 0 0 1.4-2.6L13.4 4.6a1.6 1.6 0 0 0-2.8 0z',
  info: 'M12 11v5.5M12 7.6v.1M12 3.5a8.5 8.5 0 1 0 .01 0',
  search: 'M15.5 15.5L20 20M10.5 4.5a6 6 0 1 0 .01 0',
  lock: 'M8 10.5V8a4 4 0 0 1 8 0v2.5M6.5 10.5h11v8.5h-11z',
  person: 'M12 4.5a3.8 3.8 0 1 0 .01 0M4.8 19.5c.9-3.4 3.8-5 7.2-5s6.3 1.6 7.2 5',
  leave: 'M10 4.5H5.5v15H10M14.5 8l4 4-4 4M18.5 12H9.5',
  arrow: 'M5 12h13M13 7l5 5-5 5',
  key: 'M15.5 4.5a4 4 0 1 0 .01 0M12.7 11.3L5 19M8.5 15.5L11 18',
  phone: 'M8 3.5h8v17H8zM11 17.7h2',
} as const

export type IconName = keyof typeof PATHS

/** Decoration: what it means is also said in words. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  )
}

/** The state of a result at one glance. */
export function Mark({ kind, icon }: { kind: 'good' | 'warn' | 'bad' | 'calm'; icon: IconName }) {
  return (
    <p class={`mark ${kind}`}>
      <Icon name={icon} />
    </p>
  )
}

/** The mark of a sign-in provider. */
export function ProviderMark({ id }: { id: string }) {
  if (id === 'google')
    return (
      <svg class="icon provider" viewBox="0 0 24 24" aria-hidden="true">
        <path stroke="#ea4335" d="M5.2 8A8 8 0 0 1 17.6 6.3" />
        <path stroke="#fbbc05" d="M5.2 16a8 8 0 0 1 0-8" />
        <path stroke="#34a853" d="M17.3 18A8 8 0 0 1 5.2 16" />
        <path stroke="#4285f4" d="M12.5 12h7.5a8 8 0 0 1-2.7 6" />
      </svg>
    )
  if (id === 'github')
    return (
      <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
        <path
          stroke="none"
          fill="currentcolor"
          d="M5 4l4 2.2a11 11 0 0 1 6 0L19 4c.8 1.6.9 3 .6 4.4.6 1 .9 2.2.9 3.6 0 4.5-3.6 7-8.5 7s-8.5-2.5-8.5-7c0-1.4.3-2.6.9-3.6C4.1 7 4.2 5.6 5 4z"
        />
      </svg>
    )
  return <Icon name="person" />
}
