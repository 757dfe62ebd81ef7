/** Faults to plant in front of a server, each by the one requirement that must find it. */
import { type Exchange, type Fault, formOf, jsonOf, type Reply, withJson } from '../support/faulty-front.ts'

const DEVICE = '/api/oauth/device'
const TOKEN = '/api/oauth/token'
const REGISTER = '/api/oauth/register'

/** Changes the answers of one path. */
const after =
  (path: string, change: (reply: Reply, exchange: Exchange) => Reply): Fault =>
  async (exchange, forward) => {
    const reply = await forward(exchange)
    return exchange.path === path ? change(reply, exchange) : reply
  }

const errorBecomes = (from: string, to: string) =>
  after(TOKEN, reply => (jsonOf(reply).error === from ? withJson(reply, { ...jsonOf(reply), error: to }) : reply))

function withHeaders(reply: Reply, change: (headers: Headers) => void): Reply {
  const headers = new Headers(reply.headers)
  change(headers)
  return { ...reply, headers }
}

/** Redeems a device code again with the answer of its first success. */
function reusableCodes(): Fault {
  const redeemed = new Map<string, Reply>()
  return after(TOKEN, (reply, exchange) => {
    const { device_code: code = '' } = formOf(exchange)
    if (reply.status === 200 && code) redeemed.set(code, reply)
    return redeemed.get(code) ?? reply
  })
}

const isStranger = (clientId = '') => /^[0-9a-f-]{36}$/.test(clientId)

/** Takes a registered client's poll for one of the client that the code was issued to. */
function unboundCodes(): Fault {
  const owners = new Map<string, string>()
  return async (exchange, forward) => {
    const form = formOf(exchange)
    const owner = owners.get(form.device_code ?? '')
    const body = owner && !isStranger(form.client_id) && new URLSearchParams({ ...form, client_id: owner }).toString()
    const reply = await forward(body ? { ...exchange, body } : exchange)
    const code = jsonOf(reply).device_code
    if (exchange.path === DEVICE && typeof code === 'string') owners.set(code, form.client_id ?? '')
    return reply
  }
}

/** Takes a stranger for a client that it knows. */
function anyClient(): Fault {
  let known: string | undefined
  return async (exchange, forward) => {
    const reply = await forward(exchange)
    if (exchange.path !== DEVICE) return reply
    const form = formOf(exchange)
    if (reply.status === 200) known ??= exchange.body
    if (jsonOf(reply).error !== 'invalid_client' || !isStranger(form.client_id)) return reply
    while (known === undefined) await Bun.sleep(10)
    return forward({ ...exchange, body: known })
  }
}

/** @param codes by the code that is shown: what the server behind made. */
function weakUserCodes(codes: Map<string, string>): Fault {
  return after(DEVICE, reply => {
    const { user_code: real, ...json } = jsonOf(reply)
    if (typeof real !== 'string') return reply
    const shown = String(1000 + codes.size)
    codes.set(shown, real)
    return withJson(reply, { ...json, user_code: shown })
  })
}

/** Shows a registration to whoever asks without a token. */
function openRegistrations(): Fault {
  const tokens = new Map<string, string>()
  return async (exchange, forward) => {
    const { headers } = exchange
    const token = tokens.get(exchange.path.split('/').at(-1)!)
    if (token && !headers.has('authorization')) headers.set('authorization', `Bearer ${token}`)
    const reply = await forward(exchange)
    const { client_id: id, registration_access_token: issued } = jsonOf(reply)
    if (exchange.path === REGISTER && issued) tokens.set(String(id), String(issued))
    return reply
  }
}

export interface Planted {
  requirement: string
  name: string
  plant(person: { approve(code: string): Promise<void>; codes: Map<string, string> }): Fault
}

const METADATA = '/.well-known/oauth-authorization-server'
const PAGE = /^\/auth\//

export const faults: Planted[] = [
  {
    requirement: 'META-1',
    name: 'an issuer with a slash',
    plant: () => after(METADATA, reply => withJson(reply, { ...jsonOf(reply), issuer: `${jsonOf(reply).issuer}/` })),
  },
  {
    requirement: 'DEV-2',
    name: 'device codes as text/html',
    plant: () => after(DEVICE, reply => withHeaders(reply, headers => headers.set('content-type', 'text/html'))),
  },
  { requirement: 'DEV-9', name: 'unknown clients that are let in', plant: anyClient },
  {
    requirement: 'CODE-1',
    name: 'user codes that can be guessed',
    plant: ({ codes }) => weakUserCodes(codes),
  },
  {
    requirement: 'VER-3',
    name: 'a page that can be framed',
    plant: () => async (exchange, forward) => {
      const reply = await forward(exchange)
      if (!PAGE.test(exchange.path)) return reply
      return withHeaders(reply, headers => {
        headers.delete('content-security-policy')
        headers.delete('x-frame-options')
      })
    },
  },
  {
    requirement: 'VER-6',
    name: 'approval by opening a link',
    plant:
      ({ approve }) =>
      async (exchange, forward) => {
        const code = /^\/auth\/device\?code=([A-Z-]+)$/.exec(exchange.path)?.[1]
        if (code) await approve(code)
        return forward(exchange)
      },
  },
  {
    requirement: 'POLL-1',
    name: 'a pending poll with status 200',
    plant: () =>
      after(TOKEN, reply => (jsonOf(reply).error === 'authorization_pending' ? { ...reply, status: 200 } : reply)),
  },
  { requirement: 'POLL-3', name: 'no slow_down', plant: () => errorBecomes('slow_down', 'authorization_pending') },
  { requirement: 'POLL-10', name: "codes that are anybody's", plant: unboundCodes },
  {
    requirement: 'POLL-12',
    name: 'tokens that may be cached',
    plant: () => after(TOKEN, reply => withHeaders(reply, headers => headers.set('cache-control', 'max-age=60'))),
  },
  { requirement: 'POLL-14', name: 'device codes that work again', plant: reusableCodes },
  {
    requirement: 'POLL-15',
    name: 'a denial that is not told',
    plant: () => errorBecomes('access_denied', 'invalid_grant'),
  },
  {
    requirement: 'TOK-1',
    name: 'refresh tokens that are not rotated',
    plant: () =>
      after(TOKEN, (reply, exchange) => {
        const { refresh_token: presented } = formOf(exchange)
        return presented && reply.status === 200
          ? withJson(reply, { ...jsonOf(reply), refresh_token: presented })
          : reply
      }),
  },
  {
    requirement: 'REG-3',
    name: 'unknown metadata refused',
    plant: () =>
      after(REGISTER, (reply, exchange) =>
        exchange.body.includes('"conformance_unknown"')
          ? withJson(reply, { error: 'invalid_client_metadata' }, 400)
          : reply,
      ),
  },
  { requirement: 'MGT-3', name: 'registrations shown to anybody', plant: openRegistrations },
]
