/** Flows that bring secrets to a server, for the test that searches for them: passkeys, and accounts at other servers. */
import { expect } from 'bun:test'
import { csrfOf } from './flows.ts'
import { beginLink, pathOf } from './linking.ts'
import type { NotesServer } from './notes-server.ts'
import type { Script } from './scripted.ts'
import type { TestServer } from './server.ts'
import { softwarePasskey } from './software-passkey.ts'
import { openStream } from './streams.ts'
import { until } from './until.ts'

type Server = Pick<TestServer, 'get' | 'post'>
type Secrets = Map<string, string>

const cookiesOf = (answer: Response) =>
  answer.headers
    .getSetCookie()
    .map(cookie => cookie.split(';')[0]!)
    .filter(pair => !pair.endsWith('='))
const contentOf = (pair: string | undefined) => pair!.slice(pair!.indexOf('=') + 1)

/** Adds a passkey to the person with this cookie, and signs in with it, the second time with an answer that was used. */
export async function addAndUsePasskey(
  server: Server,
  address: string,
  Cookie: string,
  secrets: Secrets,
): Promise<void> {
  const passkey = softwarePasskey(address)
  /** Asks for a challenge. @returns it, and the cookie that binds it to the browser. */
  const challenge = async (path: string, form: Record<string, string>, cookie: string) => {
    const options = await server.post(path, form, { Cookie: cookie })
    expect(options.status).toBe(200)
    return { ...((await options.json()) as { challenge: string }), cookie: cookiesOf(options)[0]! }
  }
  const account = '/account/passkeys'
  const csrf = csrfOf(await (await server.get(account, { Cookie })).text(), `${account}/add`)
  const adding = await challenge(`${account}/options`, { csrf }, Cookie)
  secrets.set('challenge for a new passkey', adding.challenge)
  secrets.set('cookie for a new passkey', contentOf(adding.cookie))
  const made = { csrf, name: 'laptop', credential: passkey.make(adding.challenge) }
  const added = await server.post(`${account}/add`, made, { Cookie: `${Cookie}; ${adding.cookie}` })
  expect(added.status).toBe(303)

  const page = await server.get('/auth/signin', { Accept: 'text/html' })
  const form = { csrf: csrfOf(await page.text(), '/auth/passkey') }
  const browser = cookiesOf(page).join('; ')
  const using = await challenge('/auth/passkey/options', form, browser)
  secrets.set('challenge for a passkey', using.challenge)
  secrets.set('cookie for a passkey', contentOf(using.cookie))
  const used = { ...form, credential: passkey.use(using.challenge) }
  secrets.set('signature of a passkey', JSON.parse(used.credential).response.signature)
  const signIn = () => server.post('/auth/passkey', used, { Cookie: `${browser}; ${using.cookie}` })
  const signedIn = await signIn()
  expect(signedIn.status).toBe(303)
  secrets.set(
    'session after a passkey',
    contentOf(cookiesOf(signedIn).find(pair => contentOf(pair).startsWith('mse_'))),
  )
  expect((await signIn()).status).toBe(403)
}

/**
 * Links an account at the upstream `notes`, lets its tokens be renewed, comes back with a state that was used, and unlinks it.
 *
 * @param call Calls a tool of that upstream.
 */
export async function linkAndUnlink(
  server: Server,
  notes: NotesServer,
  Cookie: string,
  call: () => Promise<unknown>,
  secrets: Secrets,
): Promise<void> {
  notes.lifetime = 1 // second, so that the tokens are soon renewed
  const asked = await beginLink(server, Cookie, 'notes')
  asked.searchParams.set('login', 'ada')
  const callback = new URL((await fetch(asked, { redirect: 'manual' })).headers.get('location')!)
  secrets.set('state at an upstream', callback.searchParams.get('state')!)
  secrets.set('code of an upstream', callback.searchParams.get('code')!)
  const comeBack = async () => (await server.get(pathOf(callback), { Cookie, Accept: 'text/html' })).status
  expect(await comeBack()).toBe(303)
  await comeBack()
  await until(async () => {
    await call()
    return notes.refreshes() > 0
  })
  const action = '/account/upstreams/notes/unlink'
  const csrf = csrfOf(await (await server.get('/account', { Cookie })).text(), action)
  expect((await server.post(action, { csrf }, { Cookie })).status).toBe(303)

  const sentTo = (path: string, field: string) =>
    notes.seen.flatMap(({ path: at, body }) => (at === path ? (new URLSearchParams(body).get(field) ?? []) : []))
  await until(() => sentTo('/revoke', 'token').length > 0)
  const bearers = notes.seen.flatMap(({ authorization }) => /^Bearer (access_.*)/.exec(authorization ?? '')?.[1] ?? [])
  const received = {
    'access token of an upstream': bearers,
    'code verifier for an upstream': sentTo('/token', 'code_verifier'),
    'refresh token of an upstream': sentTo('/token', 'refresh_token'),
    'last token of an upstream': sentTo('/revoke', 'token'),
    'subject token': sentTo('/token', 'subject_token'),
  }
  for (const [name, values] of Object.entries(received)) secrets.set(name, values.at(-1)!)
}

/** An upstream server whose tools ask the client something. */
export const ASKING: Script = {
  tools: [{ name: 'elicit' }, { name: 'sample' }],
  async answer({ params }, line) {
    if (params?.name === 'elicit')
      await line.ask('elicitation/create', {
        message: 'Your PIN?',
        requestedSchema: { type: 'object', properties: {} },
      })
    else await line.ask('sampling/createMessage', { messages: [], maxTokens: 1 })
    return { content: [{ type: 'text', text: 'thanks' }] }
  },
}

/**
 * Answers what the upstream `asking` asks in a session: at another replica, if there is one, which hands the answer over.
 *
 * @param post Sends a message to the replica that asks, or to the other one.
 */
export async function answerQuestions(
  post: (to: 'asking' | 'other', message: object, session?: string) => Promise<Response>,
  secrets: Secrets,
): Promise<void> {
  const begun = await post('asking', {
    ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
    params: {
      protocolVersion: '2025-11-25',
      capabilities: { elicitation: {}, sampling: {} },
      clientInfo: { name: 'test', version: '1' },
    },
  })
  await begun.text()
  const session = begun.headers.get('mcp-session-id')!
  secrets.set('MCP session that asks', session)
  const [pin, text] = ['an-answer-of-a-person-0123456789', 'a-text-of-a-model-0123456789']
  const answers = {
    elicit: { action: 'accept', content: { pin } },
    sample: { role: 'assistant', model: 'test', content: { type: 'text', text } },
  }
  secrets.set('answer of a person', pin)
  secrets.set('text of a model', text)
  for (const [name, result] of Object.entries(answers)) {
    const call = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: `asking__${name}` } }
    const stream = await openStream(post('asking', call, session), new AbortController())
    const [, id] = /"id":"([0-9a-f-]{36})"/.exec(await stream.readUntil('"params"'))!
    expect((await post('other', { jsonrpc: '2.0', id, result }, session)).status).toBe(202)
    expect(await stream.rest()).toContain('thanks')
  }
}
