import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { upsertMetadataClient } from '../../../sql/clients.ts'
import { isPublicUnicast } from '../../../src/lib/safe-fetch.ts'
import { isMetadataUrl } from '../../../src/oauth/clients/metadata-documents.ts'
import { DEVICE_CODE_GRANT } from '../../../src/oauth/grants/types.ts'
import { type DocumentHost, startDocumentHost } from '../../support/document-host.ts'
import { deviceTokens, rpc, signIn } from '../../support/flows.ts'
import { startServer, type TestServer } from '../../support/server.ts'

let host: DocumentHost
let server: TestServer
let ada: string
let count = 0

beforeAll(async () => {
  host = await startDocumentHost()
  server = await startServer({}, host.outbound)
  ada = await signIn(server)
})
afterAll(async () => {
  await server.close()
  host.close()
})
beforeEach(() => {
  host.resolutions = [['127.0.0.1']]
  server.clock.advance(61) // away from the limits of the tests before
})

const urlOf = (path: string, name = 'client.example') => `https://${name}:${host.port}${path}`
const documentOf = (url: string, more: Record<string, unknown> = {}) => ({
  client_id: url,
  client_name: 'Documented',
  redirect_uris: ['http://localhost/callback', 'https://client.example/callback'],
  grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE_GRANT],
  token_endpoint_auth_method: 'none',
  ...more,
})
/** Serves a new document. @returns its URL, the client id. */
function publish(more: Record<string, unknown> = {}, headers = ''): string {
  const path = `/client-${++count}.json`
  const url = urlOf(path)
  host.serveJson(path, documentOf(url, more), headers)
  return url
}
const ask = (client_id: string) => server.post('/api/oauth/device', { client_id, scope: 'mcp' })
const refused = async (client_id: string) => {
  const answer = await ask(client_id)
  expect([answer.status, await answer.json()]).toEqual([
    401,
    { error: 'invalid_client', error_description: expect.not.stringContaining('127.0.0.1') },
  ])
}

describe('a client id that is the URL of a document', () => {
  test.each<[string, string, boolean]>([
    ['its own host', 'OWN', true],
    ['this computer', 'http://localhost:5555/callback', true],
    ['another host, which its document names', 'https://elsewhere.example/callback', false],
    ['a private-use scheme', 'com.example.app:/callback', false],
  ])('has an error redirected to %s: %s, %s (RFC 9700 4.11.2)', async (_, given, redirected) => {
    const redirect_uri = given.replace('OWN', urlOf('/callback'))
    const query = new URLSearchParams({
      response_type: 'code',
      client_id: publish({ redirect_uris: [redirect_uri.replace(':5555', '')] }),
      redirect_uri,
      scope: 'bogus',
      code_challenge: 'A'.repeat(43),
      code_challenge_method: 'S256',
    })
    const answer = await server.get(`/api/oauth/authorize?${query}`, { Cookie: ada })
    if (redirected) expect(answer.headers.get('location')).toStartWith(`${redirect_uri}?error=invalid_scope&`)
    else expect(await answer.text()).toContain(`href="${redirect_uri}?error=invalid_scope&`)
    expect(answer.status).toBe(redirected ? 303 : 400)
  })

  test('warns differently where any program on this computer can pose as the client', async () => {
    const query = new URLSearchParams({
      response_type: 'code',
      client_id: publish(),
      redirect_uri: 'http://localhost:5555/callback',
      code_challenge: 'A'.repeat(43),
      code_challenge_method: 'S256',
    })
    const page = await (await server.get(`/api/oauth/authorize?${query}`, { Cookie: ada })).text()
    expect(page).toContain('The response goes to this computer, where any program can impersonate Documented.')
  })

  test('works as a client: device flow, refresh and tool call, with its host shown as verified', async () => {
    const url = publish()
    const tokens = await deviceTokens(server, url, ada)
    expect((await rpc(server, tokens.access_token, 'tools/list')).status).toBe(200)
    expect(
      (
        await server.post('/api/oauth/token', {
          grant_type: 'refresh_token',
          client_id: url,
          refresh_token: tokens.refresh_token,
        })
      ).status,
    ).toBe(200)
    const query = new URLSearchParams({
      response_type: 'code',
      client_id: url,
      redirect_uri: 'http://localhost:5555/callback',
      code_challenge: 'A'.repeat(43),
      code_challenge_method: 'S256',
    })
    const page = await (await server.get(`/api/oauth/authorize?${query}`, { Cookie: ada })).text()
    expect(page).toContain(`client.example:${host.port}`)
    expect(page).not.toContain('unverified name')
  })

  test('is advertised', async () => {
    expect(await (await server.get('/.well-known/oauth-authorization-server')).json()).toMatchObject({
      client_id_metadata_document_supported: true,
    })
  })

  test.each([
    ['names another client_id', { client_id: 'https://other.example/x.json' }],
    ['has a client secret method only', { token_endpoint_auth_method: 'client_secret_basic' }],
    ['can only be a machine', { grant_types: ['client_credentials'] }],
    ['has no usable redirect URI', { grant_types: ['authorization_code'], redirect_uris: ['javascript:alert(1)'] }],
    ['wants keys and has none', { token_endpoint_auth_method: 'private_key_jwt' }],
  ])('is refused if the document %s', async (_, more) => {
    await refused(publish(more))
  })

  test('a document that prefers keys but allows "none" is negotiated down', async () => {
    const url = publish({
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_methods_supported: ['private_key_jwt', 'none'],
    })
    expect((await ask(url)).status).toBe(200)
  })

  test('never yields client_credentials or admin', async () => {
    const url = publish({ grant_types: ['client_credentials', DEVICE_CODE_GRANT], scope: 'admin' })
    expect(
      await (await server.post('/api/oauth/token', { grant_type: 'client_credentials', client_id: url })).json(),
    ).toMatchObject({ error: 'unauthorized_client' })
    expect(await (await server.post('/api/oauth/device', { client_id: url, scope: 'admin' })).json()).toMatchObject({
      error: 'invalid_scope',
    })
  })

  test.each([
    'http://client.example/x.json',
    'https://client.example',
    'https://client.example/',
    'https://user@client.example/x',
    'https://client.example/x#y',
    'https://client.example/x?y',
    'https://client.example/x#',
    'https://client.example/x?',
    'https://client.example/a/../b',
    'https://CLIENT.example/x',
    'https://client.example:443/x',
    `https://client.example/${'a'.repeat(600)}`,
    'https:client.example/x',
    'https://client"example/x',
    ' https://client.example/x',
  ])('%s is not such an address and is not fetched', async url => {
    expect(isMetadataUrl(url)).toBe(false)
    const before = host.lookups
    expect((await ask(url)).status).toBe(401)
    expect(host.lookups).toBe(before)
  })
})

test('a document with a client_secret, a repeated member or a byte-order mark is refused', async () => {
  await refused(publish({ client_secret: 'everybody can read it' }))
  for (const change of [
    (json: string) => json.replace('{', '{"client_id":"https://other.example/x",'),
    (json: string) => `\ufeff${json}`,
  ]) {
    const url = publish()
    const body = change(JSON.stringify(documentOf(url)))
    const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}`
    host.answers.set(new URL(url).pathname, (write, end) => {
      write(`${head}\r\n\r\n${body}`)
      end()
    })
    await refused(url)
  }
})

test('a null member counts as absent', async () => {
  const answer = await ask(publish({ client_name: null, client_uri: null, jwks: null, grant_types: null }))
  expect(answer.status).toBe(200)
})

test('a document on this server cannot be a client id, and is not fetched', async () => {
  const own = await startServer({ BASE_URL: 'https://own.example' }, host.outbound)
  try {
    const before = host.lookups
    const answer = await own.post('/api/oauth/device', { client_id: 'https://own.example/client.json' })
    expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([401, 'invalid_client'])
    expect(host.lookups).toBe(before)
  } finally {
    await own.close()
  }
})

test('if the first address of a host does not answer, the next one is tried', async () => {
  const { isAllowed } = host.outbound
  host.outbound.isAllowed = address => address.startsWith('127.0.0.')
  try {
    const url = publish()
    host.resolutions = [['127.0.0.3', '127.0.0.1']]
    expect((await ask(url)).status).toBe(200)
  } finally {
    host.outbound.isAllowed = isAllowed
  }
})

describe('fetching a stranger’s document (SSRF)', () => {
  test.each([
    ['loopback', ['127.0.0.2']],
    ['private', ['10.0.0.1']],
    ['metadata service', ['169.254.169.254']],
    ['one public and one private', ['127.0.0.1', '10.0.0.1']],
    ['IPv6 loopback', ['::1']],
    ['nothing', []],
  ])('a name that resolves to %s is refused without a connection', async (_, addresses) => {
    const url = publish()
    host.resolutions = [addresses]
    const before = host.connections
    await refused(url)
    expect(host.connections).toBe(before)
  })

  test('the connection goes to the address that was checked, even if the name now resolves to another (DNS rebinding)', async () => {
    const url = publish()
    host.resolutions = [['127.0.0.1'], ['10.0.0.1']]
    const [connections, lookups] = [host.connections, host.lookups]
    expect((await ask(url)).status).toBe(200)
    expect([host.connections - connections, host.lookups - lookups]).toEqual([1, 1])
  })

  test('the certificate must be for the name in the URL', async () => {
    const path = `/client-${++count}.json`
    const url = urlOf(path, 'stranger.example')
    host.serveJson(path, documentOf(url))
    await refused(url)
  })

  test('redirects, other types, encodings, errors, and documents that are too large or never end are refused', async () => {
    const send =
      (head: string, body = '') =>
      (write: (text: string) => void, end: () => void) => {
        write(`HTTP/1.1 ${head}\r\n\r\n${body}`)
        end()
      }
    const cases = [
      send(`302 Found\r\nLocation: ${urlOf('/elsewhere.json')}\r\nContent-Length: 0`),
      send('200 OK\r\nContent-Type: text/html\r\nContent-Length: 2', '{}'),
      send('200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2', '{}'),
      send('500 Oops\r\nContent-Length: 0'),
      send('200 OK\r\nContent-Type: application/json\r\nContent-Length: 1', '{'),
      send(`200 OK\r\nContent-Type: application/json\r\nContent-Length: ${70_000}`, `"${'a'.repeat(69_998)}"`),
    ]
    for (const answer of cases) {
      const path = `/client-${++count}.json`
      host.answers.set(path, answer)
      await refused(urlOf(path))
    }
    expect(host.requests).not.toContain('/elsewhere.json')
    const path = `/client-${++count}.json`
    host.answers.set(path, write =>
      write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{'),
    )
    await refused(urlOf(path)) // by the deadline
  })

  test.each([
    ['8.8.8.8', true],
    ['2606:4700:4700::1111', true],
    ...[
      '0.0.0.0',
      '10.1.2.3',
      '100.64.0.1',
      '127.0.0.1',
      '169.254.169.254',
      '172.31.255.255',
      '192.168.1.1',
      '192.0.2.1',
      '198.18.0.1',
      '198.51.100.1',
      '203.0.113.1',
      '224.0.0.1',
      '255.255.255.255',
      '::',
      '::1',
      '::ffff:127.0.0.1',
      '::ffff:8.8.8.8',
      '64:ff9b::7f00:1',
      'fe80::1',
      'fc00::1',
      'fd00:ec2::254',
      'ff02::1',
      '2001:db8::1',
      '2002:7f00:1::',
      '2001::1',
      'localhost',
      '',
    ].map(address => [address, false] as const),
  ] as const)('%s is on the public internet: %p', (address, expected) => {
    expect(isPublicUnicast(address)).toBe(expected)
  })
})

describe('keeping documents', () => {
  test('one fetch for parallel requests, none while the copy is fresh, one when it is stale', async () => {
    const url = publish({}, 'Cache-Control: max-age=300\r\n')
    const before = host.requests.length
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask(url)))
    expect(answers.map(answer => answer.status)).toEqual(Array(10).fill(200))
    expect(host.requests.length - before).toBe(1)
    server.clock.advance(299)
    await ask(url)
    expect(host.requests.length - before).toBe(1)
    server.clock.advance(2)
    await ask(url)
    expect(host.requests.length - before).toBe(2)
  })

  test('a change is seen once the copy is stale, and the last good copy is used while the host is broken', async () => {
    const url = publish({}, 'Cache-Control: no-store\r\n')
    const path = new URL(url).pathname
    expect((await ask(url)).status).toBe(200)
    server.clock.advance(61)
    host.answers.delete(path)
    expect((await ask(url)).status).toBe(200)
    server.clock.advance(61)
    host.serveJson(path, documentOf(url, { grant_types: ['authorization_code'] }))
    expect(await (await ask(url)).json()).toMatchObject({ error: 'unauthorized_client' })
  })

  test('fetches caused by one network are limited: 429', async () => {
    const answers: number[] = []
    for (let i = 0; i < 32; i++) answers.push((await ask(urlOf(`/missing-${i}.json`, 'other.example'))).status)
    expect(answers.slice(0, 30)).toEqual(Array(30).fill(401))
    expect(answers.slice(30)).toEqual([429, 429])
  })
})

describe('a document that cannot be fetched', () => {
  const authorize = (at: TestServer, client: string) =>
    at.get(
      `/api/oauth/authorize?${new URLSearchParams({
        response_type: 'code',
        client_id: client,
        redirect_uri: 'http://localhost:5555/callback',
        code_challenge: 'A'.repeat(43),
        code_challenge_method: 'S256',
      })}`,
      { Accept: 'text/html' },
    )
  const wayOut =
    'Try again later. If this server has no internet access, its operator can set CLIENT_METADATA_DOCUMENTS=false; apps then register instead, or get a client id from the operator'

  test.each<[reason: string, answer: string | undefined, addresses: string[]]>([
    ['has a host name without a public address', undefined, []],
    ['has a host name without a public address', undefined, ['10.0.0.1']],
    ['was answered with status 404', 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n', ['127.0.0.1']],
    ['names another client_id', undefined, ['127.0.0.1']],
  ])('%s: the client and the person read the host, the reason and the way out', async (reason, answer, addresses) => {
    const path = `/client-${++count}.json`
    const url = urlOf(path)
    if (answer) {
      host.answers.set(path, (write, end) => {
        write(answer)
        end()
      })
    } else host.serveJson(path, documentOf('https://other.example/x.json'))
    host.resolutions = [addresses]
    const description = `The app is described by a document at client.example:${host.port}, and that document ${reason}. ${wayOut}`
    const answered = await ask(url)
    expect([answered.status, await answered.json()]).toEqual([
      401,
      { error: 'invalid_client', error_description: description },
    ])
    const page = await authorize(server, url)
    expect([page.status, page.headers.get('location')]).toEqual([400, null])
    const text = await page.text()
    expect(text).toContain('<h1>This server could not load information about the app</h1>')
    expect(text).toContain(`<p>${description}.</p>`)
  })

  test('CLIENT_METADATA_DOCUMENTS=false: not advertised, not fetched, stored copies not used, and the page says so', async () => {
    const offline = await startServer({ CLIENT_METADATA_DOCUMENTS: 'false' }, host.outbound)
    try {
      for (const name of ['oauth-authorization-server', 'openid-configuration']) {
        const metadata = await (await offline.get(`/.well-known/${name}`)).json()
        expect(metadata).not.toHaveProperty('client_id_metadata_document_supported')
      }
      const url = publish()
      await upsertMetadataClient(offline.deps.sql, {
        id: url,
        name: 'Documented',
        source: 'metadata',
        authMethod: 'none',
        grantTypes: [DEVICE_CODE_GRANT],
        redirectUris: [],
        scope: ['mcp:tools:read'],
        createdAt: offline.deps.now(),
        freshUntil: new Date(offline.deps.now().getTime() + 3_600_000),
      })
      const before = host.lookups
      const description = `The app is described by a document at client.example:${host.port}, but this server does not fetch such documents (CLIENT_METADATA_DOCUMENTS=false). Remove this server from the app and add it again, so that the app registers, or give the app a client id from the operator`
      const answer = await offline.post('/api/oauth/device', { client_id: url })
      expect([answer.status, await answer.json()]).toEqual([
        401,
        { error: 'invalid_client', error_description: description },
      ])
      expect(await (await authorize(offline, url)).text()).toContain(`<p>${description}.</p>`)
      expect(host.lookups).toBe(before)
      const registered = await offline.postJson('/api/oauth/register', { redirect_uris: ['http://localhost/callback'] })
      expect(registered.status).toBe(201)
    } finally {
      await offline.close()
    }
  })
})
