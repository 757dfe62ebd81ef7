/** Users of the notes server behind the gateway. */
import { expect } from 'bun:test'
import { modernRpc, signIn } from './flows.ts'
import { tokenFor } from './front.ts'
import { beginLink, pathOf } from './linking.ts'
import type { TestServer } from './server.ts'

export interface NotesUser {
  /** Their login at the notes server. */
  login: string
  cookie: string
  token: string
  /** @returns the text of the result. */
  call(name?: string, through?: TestServer): Promise<string>
  listTools(): Promise<string[]>
  link(): Promise<void>
}

export const HTML = { Accept: 'text/html' }

export async function notesUser(server: TestServer, login: string, upstream = 'notes'): Promise<NotesUser> {
  const email = `${login}@example.com`
  const [cookie, token] = [await signIn(server, email), await tokenFor(server, upstream, 'mcp', email)]
  const path = `/mcp/${upstream}`
  return {
    login,
    cookie,
    token,
    async call(name = 'whoami', through = server) {
      const send = () =>
        modernRpc(
          { ...through, base: `http://127.0.0.1:${through.port}` },
          ...([token, 'tools/call', { name }, { path }] as const),
        )
      let answer = await send()
      while (answer.status === 503) answer = await send() // the first calls wait for the database
      if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`)
      const { result, error } = (await answer.json()) as {
        result?: { content: { text: string }[] }
        error?: { message: string }
      }
      return result ? result.content[0]!.text : error!.message
    },
    async listTools() {
      const answer = await modernRpc(server, token, 'tools/list', {}, { path })
      return ((await answer.json()) as { result: { tools: { name: string }[] } }).result.tools.map(({ name }) => name)
    },
    async link() {
      const answer = await server.get(pathOf(await allowAtNotes(server, cookie, login, upstream)), {
        Cookie: cookie,
        ...HTML,
      })
      expect([answer.status, answer.headers.get('location')]).toEqual([303, `/account/upstreams/${upstream}`])
    },
  }
}

/** From our page through the notes server, which approves. @returns the callback. */
export async function allowAtNotes(
  server: TestServer,
  cookie: string,
  login: string,
  upstream = 'notes',
): Promise<URL> {
  const url = await beginLink(server, cookie, upstream)
  url.searchParams.set('login', login)
  const answer = await fetch(url, { redirect: 'manual' })
  expect(answer.status).toBe(302)
  return new URL(answer.headers.get('location')!)
}
