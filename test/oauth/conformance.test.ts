/** The MCP project's own conformance suite for authorization servers; Chromium acts for the person. */
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createSignInLink } from '../../src/signin/service.ts'
import { closeTabs, noBrowser, openTab } from '../support/browser.ts'
import { registerClient } from '../support/flows.ts'
import { freePort } from '../support/ports.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

const SUITE = 'node_modules/@modelcontextprotocol/conformance/dist/index.js'

afterAll(closeTabs)

/** Runs the suite, signs in, and presses Approve on the page that it prints. @returns what it printed. */
async function runSuite(server: TestServer, port: number, client: string[]) {
  const args = ['--url', server.base, '--resource', `${server.base}/mcp`, '--port', String(port), ...client]
  const suite = Bun.spawn([process.execPath, SUITE, 'authorization', ...args], { stdout: 'pipe', stderr: 'inherit' })
  const { page, complaints, close } = await openTab()
  let printed = ''
  try {
    await page.goto(await createSignInLink(server.deps, 'ada@example.com'))
    await page.getByRole('button', { name: 'Sign in' }).click()
    let asked = false
    for await (const chunk of suite.stdout.pipeThrough(new TextDecoderStream())) {
      printed += chunk
      const link = /^http\S+\/authorize\?\S+(?=\n)/m.exec(printed)?.[0]
      if (asked || !link) continue
      asked = true
      await page.goto(link)
      await page.getByRole('button', { name: 'Approve' }).click()
      await page.getByText('You can close this page').waitFor()
    }
    return { exitCode: await suite.exited, printed, complaints }
  } finally {
    suite.kill()
    await close()
  }
}

const PASSED = [
  'authorization-server-metadata-endpoint: 2 passed, 0 failed',
  'authorization-code-grant: 1 passed, 0 failed',
]

/**
 * A proxy that presents the server as supporting one client authentication method. The suite uses `none` wherever
 * it is listed, even when it was given a secret; we list it, as clients need it, and rightly refuse a confidential
 * client without its secret.
 */
function startFront(port: number, backend: number, method: string) {
  return Bun.serve({
    hostname: '127.0.0.1',
    port,
    async fetch(request) {
      const url = new URL(request.url)
      // fetch() would decode the body and keep the header that says how it was encoded.
      request.headers.set('Accept-Encoding', 'identity')
      const answer = await fetch(`http://127.0.0.1:${backend}${url.pathname}${url.search}`, {
        method: request.method,
        headers: request.headers,
        body: request.body,
        redirect: 'manual',
      })
      if (!url.pathname.endsWith('/oauth-authorization-server')) return answer
      return Response.json({ ...((await answer.json()) as object), token_endpoint_auth_methods_supported: [method] })
    },
  })
}

describe('@modelcontextprotocol/conformance authorization', () => {
  test.skipIf(noBrowser)('passes with a public client', async () => {
    const server = await startServer()
    try {
      const port = await freePort()
      const id = await registerClient(server, {
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: [`http://127.0.0.1:${port}/callback`],
      })
      const { exitCode, printed, complaints } = await runSuite(server, port, ['--client-id', id])
      for (const line of PASSED) expect(printed).toContain(line)
      expect([exitCode, complaints]).toEqual([0, []])
    } finally {
      await server.close()
    }
  })

  test.skipIf(noBrowser).each(['client_secret_basic', 'client_secret_post'])(
    'passes with a confidential client (%s)',
    async method => {
      const frontPort = await freePort()
      const server = await startServer({ BASE_URL: `http://localhost:${frontPort}` })
      const front = startFront(frontPort, Number(server.env.PORT), method)
      try {
        const port = await freePort()
        const registered = await server.postJson('/api/oauth/register', {
          token_endpoint_auth_method: method,
          redirect_uris: [`http://127.0.0.1:${port}/callback`],
        })
        const { client_id, client_secret } = (await registered.json()) as Record<string, string>
        const { exitCode, printed, complaints } = await runSuite(server, port, [
          ...['--client-id', client_id!, '--client-secret', client_secret!],
        ])
        for (const line of PASSED) expect(printed).toContain(line)
        expect([exitCode, complaints]).toEqual([0, []])
      } finally {
        await front.stop(true)
        await server.close()
      }
    },
  )
})
