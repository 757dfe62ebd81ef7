/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Layout } from './layout.tsx'

/** What happened, and what to do next. */
export function errorPage({ title, advice }: { title: string; advice: string }) {
  return (
    <Layout title={title}>
      <div class="card">
        <h1 safe>{title}</h1>
        <p safe>{advice}</p>
        <p class="links">
          <a href="/auth/device">Enter a device code</a>
          <a href="/account">Your connected apps</a>
          <a href="/">Front page</a>
        </p>
      </div>
    </Layout>
  )
}
