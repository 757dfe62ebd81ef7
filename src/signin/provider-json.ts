/** Requests to configured sign-in providers. */
import { AppError } from '../lib/errors.ts'

const TIMEOUT_MS = 10_000

/** Fetches JSON from a configured provider. @throws AppError 502 */
export async function getJson(url: string, token?: string): Promise<unknown> {
  let response: Response
  try {
    response = await fetch(url, {
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: {
        Accept: 'application/json',
        'User-Agent': 'mcp-oauth-server',
        ...(token ? { Authorization: `Bearer ${token}` } : {}),
      },
    })
  } catch {
    throw unreachable(`${url} cannot be reached`)
  }
  if (!response.ok) throw unreachable(`${url} answered ${response.status}`)
  try {
    return await response.json()
  } catch {
    throw unreachable(`${url} did not answer with JSON`)
  }
}

export function unreachable(detail: string): AppError {
  return new AppError('The sign-in provider cannot be reached', 'Try again in a minute, or sign in another way.', {
    status: 502,
    detail,
  })
}
