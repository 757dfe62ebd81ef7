/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Mark } from './icons.tsx'
import { Layout, type Shell } from './layout.tsx'

interface ErrorPageProps {
  shell: Shell
  title: string
  advice: string
  /** Identifies the error in the operator's log. */
  reference: string | undefined
}

/** What happened, and what to do next. */
export function errorPage({ shell, title, advice, reference }: ErrorPageProps) {
  return (
    <Layout title={title} shell={shell}>
      <div class="card">
        <Mark kind="bad" icon="warning" />
        <h1 safe>{title}</h1>
        <p safe>{advice}</p>
        {reference !== undefined && (
          <p class="muted">
            Reference: <code safe>{reference}</code>
          </p>
        )}
        <p class="links">
          <a href="/auth/device">Enter a device code</a>
          <a href="/account">Your connected apps</a>
          <a href="/">Front page</a>
        </p>
      </div>
    </Layout>
  )
}
