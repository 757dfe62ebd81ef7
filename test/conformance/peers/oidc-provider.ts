/** The suite against `oidc-provider`: bun run test/conformance/peers/oidc-provider.ts [options of the suite] */
import { createServer } from 'node:http'
import { exportJWK, generateKeyPair } from 'jose'
import { freePort } from '../../support/ports.ts'
import { openBrowser } from '../../support/user-agent.ts'
import { runSuite } from './peer.ts'

const [port, documents] = [await freePort(), await freePort()]
const issuer = `http://127.0.0.1:${port}`
const HOUR = 3600
const { privateKey } = await generateKeyPair('RS256', { extractable: true })

Object.assign(console, { info: () => {}, warn: () => {} }) // it warns of every default
const { default: Provider } = await import('oidc-provider')
const provider = new Provider(issuer, {
  features: {
    deviceFlow: { enabled: true },
    registration: { enabled: true },
    registrationManagement: { enabled: true },
    clientIdMetadataDocument: { enabled: true, ack: 'draft-02' },
  },
  // The documents are on this machine; what it fetches, and when, stays its decision.
  fetch: (url: URL | string, options: RequestInit) =>
    fetch(String(url).replace('https://client.example', `http://127.0.0.1:${documents}`), options),
  findAccount: (_: unknown, sub: string) => ({ accountId: sub, claims: () => ({ sub }) }),
  claims: { openid: ['sub'], profile: ['name'] },
  jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'peer', use: 'sig', alg: 'RS256' }] },
  cookies: { keys: ['a key of a peer'] },
  ttl: {
    AccessToken: HOUR,
    DeviceCode: 60,
    Grant: HOUR,
    IdToken: HOUR,
    Interaction: HOUR,
    RefreshToken: HOUR,
    Session: HOUR,
  },
})
createServer(provider.callback()).listen(port, '127.0.0.1')

/** Its own pages: the code, the confirmation, then login and consent of its development pages. */
async function person(userCode: string, decision: 'approve' | 'deny', verificationUri: string): Promise<void> {
  const browser = openBrowser()
  const entry = await browser.visit(verificationUri)
  let page = await browser.press(entry, '/device', { user_code: userCode })
  page = await browser.press(page, '/device', decision === 'approve' ? { confirm: 'yes' } : { abort: 'yes' })
  if (decision === 'deny') return
  for (const prompt of ['login', 'consent']) {
    if (page.html.includes(`name="prompt" value="${prompt}"`))
      page = await browser.press(page, '/interaction/', { login: 'ada', password: 'any' })
  }
  if (!/success/i.test(page.html)) throw new Error(`it stopped with ${page.status} at ${new URL(page.url).pathname}`)
}

await runSuite(issuer, person, [
  ...['--scope', 'openid offline_access', '--max-wait', '70'],
  ...['--documents', 'https://client.example', '--documents-port', String(documents)],
  ...process.argv.slice(2),
])
