/** The page where a person enters the code (RFC 8628 3.3, 5.4; RFC 9700 4.16), as far as one sees it without signing in. */
import { type Answer, errorOf, isLoopback, visit } from '../http.ts'
import { Unchecked } from '../model.ts'
import { notOffered, notTested, passIf, type Requirement } from '../requirement.ts'
import type { Target } from '../target.ts'

const isPage = ({ status, headers }: Answer) => status === 200 && /^text\/html/i.test(headers.get('content-type') ?? '')

async function pageHeaders(target: Target): Promise<Headers> {
  const page = await visit((await target.device()).verificationUri)
  if (!isPage(page)) throw new Unchecked('not tested', 'no page: see VER-2')
  return page.headers
}

export const verification: Requirement[] = [
  {
    id: 'VER-1',
    level: 'MUST',
    source: 'RFC 8628 3.3, RFC 6749 3.1',
    expected: 'verification_uri uses TLS',
    async check(target) {
      const { verificationUri } = await target.device()
      const { protocol } = new URL(verificationUri)
      if (protocol === 'http:' && isLoopback(verificationUri)) return notTested('plain http on loopback')
      return passIf(protocol === 'https:', protocol)
    },
  },
  {
    id: 'VER-2',
    level: 'MUST',
    source: 'RFC 8628 3.3',
    expected: 'verification_uri leads a browser to an HTML page',
    async check(target) {
      const page = await visit((await target.device()).verificationUri)
      return passIf(isPage(page), `${page.status}${isPage(page) ? '' : ', no HTML'}`)
    },
  },
  {
    id: 'VER-3',
    level: 'MUST',
    source: 'RFC 9700 4.16',
    expected: 'That page cannot be framed: CSP frame-ancestors or X-Frame-Options',
    async check(target) {
      const headers = await pageHeaders(target)
      const csp = /frame-ancestors/i.test(headers.get('content-security-policy') ?? '')
      const xfo = /^(deny|sameorigin)$/i.test(headers.get('x-frame-options') ?? '')
      return passIf(
        csp || xfo,
        [csp ? 'CSP' : '', xfo ? 'X-Frame-Options' : ''].filter(Boolean).join(', ') || 'neither',
      )
    },
  },
  {
    id: 'VER-4',
    level: 'SHOULD',
    source: 'RFC 9700 4.16',
    expected: 'It is protected by CSP, not by X-Frame-Options alone',
    async check(target) {
      const headers = await pageHeaders(target)
      const csp = /frame-ancestors/i.test(headers.get('content-security-policy') ?? '')
      if (!csp && !headers.has('x-frame-options')) return notTested('neither: see VER-3')
      return passIf(csp, csp ? 'frame-ancestors' : 'X-Frame-Options alone')
    },
  },
  {
    id: 'VER-5',
    level: 'MAY',
    source: 'RFC 8628 3.2, 3.3.1',
    expected: 'verification_uri_complete carries the user code, or something like it',
    async check(target) {
      const { verificationUri, verificationUriComplete } = await target.device()
      if (verificationUriComplete === undefined) return notOffered('no verification_uri_complete')
      const other = URL.canParse(verificationUriComplete) && verificationUriComplete !== verificationUri
      return passIf(other, other ? 'an address of its own' : 'the same as verification_uri, or none')
    },
  },
  {
    id: 'VER-6',
    level: 'SHOULD',
    source: 'RFC 8628 3.3.1, 5.4',
    expected: 'Opening verification_uri_complete approves nothing by itself',
    async check(target) {
      const device = await target.device()
      if (device.verificationUriComplete === undefined) return notOffered('no verification_uri_complete')
      await visit(device.verificationUriComplete)
      const error = errorOf(await target.poll(device))
      return passIf(error === 'authorization_pending', error)
    },
  },
]
