/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import type { PropsWithChildren } from '@kitajs/html'

/** The layout of every page. `wide` is for pages with lists. */
export interface LayoutProps {
  title: string
  /** The signed-in user; absent on public pages. */
  email?: string | undefined
  wide?: boolean
}

export function Layout({ title, email, wide, children }: PropsWithChildren<LayoutProps>) {
  return (
    <>
      {'<!doctype html>'}
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="color-scheme" content="light dark" />
          <meta name="robots" content="noindex" />
          <meta name="htmx-config" content='{"includeIndicatorCSS":false,"mode":"same-origin","history":false}' />
          <title safe>{`${title} · MCP sign-in`}</title>
          <link rel="icon" href="/assets/icon.svg" type="image/svg+xml" />
          <link rel="stylesheet" href="/assets/style.css" />
          <script src="/assets/htmx.js" defer></script>
        </head>
        <body class={wide ? 'wide' : ''}>
          <header>
            <a class="brand" href="/">
              <img src="/assets/icon.svg" alt="" width="24" height="24" />
              <span>MCP sign-in</span>
            </a>
            {email === undefined ? (
              ''
            ) : (
              <a class="who" href="/account" safe>
                {email}
              </a>
            )}
          </header>
          <main>{children as 'safe'}</main>
        </body>
      </html>
    </>
  )
}
