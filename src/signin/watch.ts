/** Tries the sign-in providers when the server starts, so that a wrong or unreachable issuer shows before anybody signs in. */
import type { Log } from '../lib/log.ts'
import type { Providers } from './providers.ts'

const RETRY_MS = 30_000

/** Tries each provider, and those that fail every half minute, until they work. Logs what changes. @returns a function that stops it. */
export function watchProviders({ providers, log }: { providers: Providers; log: Log }, retryMs = RETRY_MS): () => void {
  let timer: Timer | undefined
  let stopped = false
  const failing = new Set<string>()
  async function tryAll(ids: Iterable<string>): Promise<void> {
    for (const id of ids) {
      const provider = providers.get(id)!
      await provider.start({ state: 'start', nonce: 'start', verifier: 'start'.repeat(10) }).catch(() => {})
      if (provider.problem !== undefined) {
        if (!failing.has(id))
          log.warn({ provider: id, detail: provider.problem }, 'nobody can sign in with this provider')
        failing.add(id)
      } else if (failing.delete(id)) log.info({ provider: id }, 'the sign-in provider works again')
    }
    if (failing.size > 0 && !stopped) timer = setTimeout(() => void tryAll([...failing]), retryMs)
  }
  void tryAll(providers.keys())
  return () => {
    stopped = true
    clearTimeout(timer)
  }
}

/** For `/readyz?verbose`; the reasons are only in the log. */
export function providerStates(providers: Providers): Record<string, 'ok' | 'unreachable'> {
  return Object.fromEntries(
    [...providers].map(([id, { problem }]) => [id, problem === undefined ? 'ok' : 'unreachable']),
  )
}
