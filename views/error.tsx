/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Layout } from './layout.tsx'

interface ErrorPageProps {
  title: string
  advice: string
  /** Identifies the error in the operator's log. */
  reference: string | undefined
}

/** What happened, and what to do next. */
export function errorPage({ title, advice, reference }: ErrorPageProps) {
  return (
    <Layout title={title}>
      <div class="card">
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
