/** Whether a provider knows this server: as much as it says to somebody who is not signed in there. */
import { AppError } from '../lib/errors.ts'
import type { Provider } from './providers.ts'

export type ProviderCheck =
  /** It sent the browser back to the redirect URI. */
  | { outcome: 'accepted' }
  /** It asks for a sign-in first, and may refuse later. */
  | { outcome: 'unclear' }
  | { outcome: 'redirect URI refused' }
  | { outcome: 'request refused'; status: number }
  /** @param why For the operator. */
  | { outcome: 'away'; why: string }

const TIMEOUT_MS = 10_000
/** Redirects within the provider that are followed. */
const HOPS = 3
/** Of an error page, in characters. */
const MAX_PAGE = 200_000
/** The words of Keycloak, oidc-provider, Google, Okta, Auth0, authentik, Entra and others. */
const REDIRECT_URI = /redirect[_\s-]?ur[il]|callback url|AADSTS50011/i

/** Sends the request that a browser would bring, without a browser's session: `prompt=none` asks for an answer at once. */
export async function checkProvider(provider: Provider): Promise<ProviderCheck> {
  try {
    const url = await provider.start({ state: 'doctor', nonce: 'doctor', verifier: 'doctor'.repeat(8) })
    url.searchParams.set('prompt', 'none')
    return await follow(url, provider.redirectUri)
  } catch (error) {
    return { outcome: 'away', why: (error instanceof AppError && error.detail) || (error as Error).message }
  }
}

async function follow(start: URL, redirectUri: string): Promise<ProviderCheck> {
  let url = start
  for (let hop = 0; hop <= HOPS; hop++) {
    const answer = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) })
    const next = URL.parse(answer.headers.get('location') ?? '', url.href)
    if (next && answer.status >= 300 && answer.status < 400) {
      await answer.body?.cancel()
      if (next.href.startsWith(redirectUri)) return { outcome: 'accepted' }
      if (saysMismatch(next)) return { outcome: 'redirect URI refused' }
      if (!/^https?:$/.test(next.protocol)) break
      url = next
      continue
    }
    const page = (await answer.text()).slice(0, MAX_PAGE)
    if (answer.status >= 400)
      return REDIRECT_URI.test(page)
        ? { outcome: 'redirect URI refused' }
        : { outcome: 'request refused', status: answer.status }
    return { outcome: /AADSTS50011/.test(page) ? 'redirect URI refused' : 'unclear' }
  }
  return { outcome: 'unclear' }
}

/** Google says it in a parameter, as base64. */
function saysMismatch({ searchParams }: URL): boolean {
  const said = [...searchParams.values()].flatMap(value => [value, Buffer.from(value, 'base64').toString('latin1')])
  return said.some(value => value.includes('redirect_uri_mismatch'))
}
