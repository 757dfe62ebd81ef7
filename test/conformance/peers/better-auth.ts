/**
 * The suite against `better-auth` with a database in memory, fetched into a temporary directory:
 * bun run test/conformance/peers/better-auth.ts [options of the suite]
 * as an OAuth server (`@better-auth/oauth-provider`), or, with --plugin-alone first, with the device-authorization plugin
 * only, whose token endpoint is for an application's own devices.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../support/ports.ts'
import { runSuite } from './peer.ts'

const [first, ...rest] = process.argv.slice(2)
const pluginAlone = first === '--plugin-alone'
const options = pluginAlone || first === undefined ? rest : [first, ...rest]
/** The newest that install together. */
const dependencies = pluginAlone
  ? { 'better-auth': '1.7.25' }
  : { 'better-auth': '1.7.5', '@better-auth/oauth-provider': '1.7.5' }
const TABLES = [
  ...['user', 'session', 'account', 'verification', 'jwks', 'deviceCode', 'oauthClient', 'oauthResource'],
  ...['oauthClientResource', 'oauthRefreshToken', 'oauthAccessToken', 'oauthConsent', 'oauthClientAssertion'],
]
const CLIENTS = ['conformance-one', 'conformance-two']

/** What is used of the package. */
interface BetterAuth {
  handler(request: Request): Promise<Response>
}

async function load<T>(dir: string, name: string): Promise<T> {
  return (await import(Bun.resolveSync(name, dir))) as T
}

const dir = mkdtempSync(join(tmpdir(), 'better-auth-'))
process.on('exit', () => rmSync(dir, { recursive: true, force: true }))
writeFileSync(join(dir, 'package.json'), JSON.stringify({ dependencies }))
const installed = Bun.spawnSync([process.execPath, 'install', '--silent'], { cwd: dir, stderr: 'inherit' })
if (!installed.success) process.exit(2)

type Plugin = (options?: object) => unknown
const { betterAuth } = await load<{ betterAuth(options: object): BetterAuth }>(dir, 'better-auth')
const { memoryAdapter } = await load<{ memoryAdapter: Plugin }>(dir, 'better-auth/adapters/memory')
const { deviceAuthorization, jwt } = await load<Record<string, Plugin>>(dir, 'better-auth/plugins')
const oauth = pluginAlone ? {} : await load<Record<string, Plugin>>(dir, '@better-auth/oauth-provider')

const issuer = `http://127.0.0.1:${await freePort()}`
const api = `${issuer}/api/auth`
const auth = betterAuth({
  baseURL: issuer,
  secret: crypto.randomUUID() + crypto.randomUUID(),
  database: memoryAdapter(Object.fromEntries(TABLES.map(name => [name, []]))),
  emailAndPassword: { enabled: true },
  logger: { disabled: true },
  plugins: pluginAlone
    ? [deviceAuthorization!({ expiresIn: '60s', validateClient: (id: string) => CLIENTS.includes(id) })]
    : [
        jwt!(),
        oauth.oauthProvider!({
          loginPage: '/sign-in',
          consentPage: '/consent',
          allowDynamicClientRegistration: true,
          allowUnauthenticatedClientRegistration: true,
          scopes: ['openid', 'profile', 'email', 'offline_access'],
        }),
        oauth.oauthDeviceAuthorization!({ expiresIn: '60s' }),
      ],
})
Bun.serve({ hostname: '127.0.0.1', port: Number(new URL(issuer).port), fetch: request => auth.handler(request) })

async function call(path: string, body?: object, cookie = ''): Promise<Response> {
  const headers = { 'Content-Type': 'application/json', Origin: issuer, Cookie: cookie }
  const answer = await fetch(api + path, body ? { method: 'POST', headers, body: JSON.stringify(body) } : { headers })
  if (!answer.ok) throw new Error(`${path} was answered ${answer.status}`)
  return answer
}

const ada = { email: 'ada@example.com', password: crypto.randomUUID(), name: 'Ada' }
const signedUp = await call('/sign-up/email', ada)
const cookie = signedUp.headers
  .getSetCookie()
  .map(line => line.split(';')[0])
  .join('; ')

await runSuite(
  pluginAlone ? issuer : api,
  async (userCode, decision) => {
    await call(`/device?user_code=${userCode}`, undefined, cookie) // which claims it
    await call(`/device/${decision}`, { userCode }, cookie)
  },
  pluginAlone
    ? [
        ...['--client-id', CLIENTS[0]!, '--other-client-id', CLIENTS[1]!, '--scope', 'openid', '--max-wait', '70'],
        ...['--device-endpoint', `${api}/device/code`, '--token-endpoint', `${api}/device/token`, '--json-tokens'],
        ...options,
      ]
    : ['--scope', 'openid offline_access', '--max-wait', '70', ...options],
)
