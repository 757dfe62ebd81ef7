/** Answers with a page: in the reader's language, with the header that says who is signed in, and compressed. */
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import type { Shell } from '../../views/layout.tsx'
import { TEXTS } from '../../views/texts/index.ts'
import type { Base } from '../base.ts'
import { encodingOf } from './encoding.ts'
import { languageOf } from './language.ts'
import { clearNotice, readNotice } from './notice.ts'
import { PAGE_HEADERS } from './response-headers.ts'
import { csrfToken, SIGN_OUT, type Viewer, type Viewers } from './session.ts'

/** What a feature with pages needs. */
export type PageDeps = Base & { viewers: Viewers }

/** A page, or a part of one for htmx. */
export type View = (shell: Shell) => string | Promise<string>

interface Written {
  bytes: string | Uint8Array<ArrayBuffer>
  encoding: Record<string, string>
}

/** A page as strangers see it, by language and encoding: for one that is the same for all of them. */
export type KeptPage = Map<string, Written>

/**
 * @param known Who is signed in, if that has been looked up, or cannot be.
 * @param kept For strangers, the page is written once.
 */
export async function page(
  deps: PageDeps,
  request: Request,
  view: View,
  { status = 200, known, kept }: { status?: number; known?: { viewer: Viewer | undefined }; kept?: KeptPage } = {},
): Promise<Response> {
  // While the database is away, pages that need no sign-in are shown as to a stranger.
  const viewer = known ? known.viewer : await deps.viewers.find(request).catch(() => undefined)
  const notice = readNotice(deps, request)
  const language = languageOf(request)
  const coding = encodingOf(request)
  const isForStrangers = viewer === undefined && notice === undefined
  const key = `${language} ${coding}`
  let written = isForStrangers ? kept?.get(key) : undefined
  if (!written) {
    const html = await view({
      site: deps.site,
      language,
      t: TEXTS[language],
      viewer: viewer && {
        email: viewer.email,
        isAdmin: viewer.isAdmin,
        signOutCsrf: csrfToken(deps, viewer, SIGN_OUT),
      },
      notice,
    })
    written = compress(coding, html)
    if (isForStrangers) kept?.set(key, written)
  }
  const { bytes, encoding } = written
  const response = new Response(bytes, { status, headers: { ...PAGE_HEADERS, ...encoding } })
  if (notice !== undefined) response.headers.append('Set-Cookie', clearNotice(deps))
  return response
}

/** Pages are small: more than this quality costs more time than it saves. */
const BROTLI = {
  params: { [constants.BROTLI_PARAM_QUALITY]: 4, [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT },
}

function compress(coding: ReturnType<typeof encodingOf>, html: string): Written {
  if (!coding || html.length < 500) return { bytes: html, encoding: {} }
  const bytes = coding === 'br' ? brotliCompressSync(html, BROTLI) : gzipSync(html)
  return { bytes, encoding: { 'Content-Encoding': coding } }
}

/**
 * Sends the browser to another server after a form submission, through a page with a Refresh header. A redirect would not
 * work: Chromium checks all redirects after a form against the page's form-action (CSP3 6.4.2), and the redirect targets of
 * providers and apps are not known in advance.
 */
export async function onward(deps: PageDeps, request: Request, view: View, href: string): Promise<Response> {
  const response = await page(deps, request, view)
  response.headers.set('Refresh', `0; url=${href}`)
  return response
}
