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
