import type { Deps } from '../deps.ts'
import { PROGRAM } from '../lib/program.ts'
import { createSignInLink, greetedAdministrator, inviteUser, LINK_MINUTES } from '../signin/service.ts'
import { print } from './terminal.ts'

/** Prints addresses, missing settings and, without a provider, a sign-in link. @param warnings Problems to fix on this machine. */
export async function greet(deps: Deps, warnings: readonly string[]): Promise<void> {
  const { config } = deps
  const lines = [
    '',
    `  mcp-oauth-server is listening on ${config.HOST.includes(':') ? `[${config.HOST}]` : config.HOST}:${config.PORT}`,
    '',
    `  MCP endpoint   ${config.BASE_URL}/mcp`,
    `  Web page       ${config.BASE_URL}/`,
  ]
  const missing = [...warnings, ...missingForProduction(deps)]
  if (missing.length > 0) lines.push('', '  Before others can use it:', ...missing.map(item => `    - ${item}`))
  if (deps.providers.size === 0) lines.push('', ...(await signInLines(deps)))
  lines.push('', '  Try it from another terminal:', `    ${PROGRAM} login ${config.BASE_URL}/mcp`, '')
  print(lines.join('\n'))
}

/** Without a provider, an administrator's one-time link is the only way to sign in. */
async function signInLines(deps: Deps): Promise<string[]> {
  const email = await greetedAdministrator(deps)
  const user = await inviteUser(deps, email, true)
  if (user.disabled_at) return [`  ${email} is disabled; to let them sign in: ${PROGRAM} user enable ${email}`]
  const link = await createSignInLink(deps, email, { isAdmin: true })
  return [
    `  Sign in as the administrator, ${email} (works once, for ${LINK_MINUTES} minutes):`,
    `    ${link}`,
    `  To get another link later, run in this directory: ${PROGRAM} user link ${email}`,
  ]
}

/** What to set before others use the server, with the variable's name. */
export function missingForProduction(deps: Deps): string[] {
  const { config } = deps
  const missing: string[] = []
  if (!config.BASE_URL.startsWith('https://')) missing.push('BASE_URL: the public https address, behind a TLS proxy')
  else if (config.TRUSTED_PROXIES.length === 0)
    missing.push(
      'TRUSTED_PROXIES: the address or network of the TLS proxy, such as 127.0.0.1; without it the proxy’s X-Forwarded-For is ignored, and all users share one address and its rate limits',
    )
  if (deps.providers.size === 0) {
    missing.push('a sign-in provider: GOOGLE_CLIENT_ID, GITHUB_CLIENT_ID or OIDC_ISSUER with their secrets')
  }
  if (
    deps.providers.size > 0 &&
    [config.ADMIN_EMAILS, config.ALLOWED_EMAILS, config.ALLOWED_DOMAINS].every(list => list.length === 0)
  )
    missing.push('ADMIN_EMAILS, ALLOWED_EMAILS or ALLOWED_DOMAINS: without them only invited users can sign in')
  else if (config.ADMIN_EMAILS.length === 0) missing.push('ADMIN_EMAILS: the addresses of administrators')
  if (!config.DATABASE_URL)
    missing.push(
      `DATABASE_URL: a PostgreSQL database, for more than one replica (now: embedded, in ${config.DATA_DIR})`,
    )
  return missing
}
