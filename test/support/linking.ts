/** Users who link accounts at an upstream that is another instance of this server: whole flows over HTTP. */
import { expect } from 'bun:test'
import { consent, csrfOf, onwardOf, signIn } from './flows.ts'
import type { TestServer } from './server.ts'

const HTML = { Accept: 'text/html' }

export interface Person {
  email: string
  /** Cookies of their browser at the gateway and at the upstream. */
  here: string
  there: string
}

/** A user who is signed in at both. @param thereAs Their address at the upstream. */
export async function personAt(here: TestServer, there: TestServer, email: string, thereAs = email): Promise<Person> {
  return { email, here: await signIn(here, email), there: await signIn(there, thereAs) }
}

/** Confirms that the account should be linked. @returns where the browser goes. */
export async function beginLink(here: Pick<TestServer, 'get' | 'post'>, cookie: string, name: string): Promise<URL> {
  const shown = await here.get(`/account/upstreams/${name}?again=1`, { Cookie: cookie, ...HTML })
  expect(shown.status).toBe(200)
  const action = `/account/upstreams/${name}/link`
  const csrf = csrfOf(await shown.text(), action)
  const answer = await here.post(action, { csrf }, { Cookie: cookie, ...HTML })
  expect(answer.status).toBe(200)
  return onwardOf(answer)
}

/** Approves at the upstream's authorization server. @returns the callback. */
export function allowAt(there: TestServer, cookie: string, authorization: URL): Promise<URL> {
  return consent(there, cookie, authorization.search.slice(1))
}

export const pathOf = (url: URL): string => url.pathname + url.search

/** The whole flow. */
export async function link(here: TestServer, there: TestServer, person: Person, name: string): Promise<void> {
  const callback = await allowAt(there, person.there, await beginLink(here, person.here, name))
  const answer = await here.get(pathOf(callback), { Cookie: person.here, ...HTML })
  expect([answer.status, answer.headers.get('location')]).toEqual([303, `/account/upstreams/${name}`])
}
