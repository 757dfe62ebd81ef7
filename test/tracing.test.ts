/** Traces as an OpenTelemetry collector gets them, from the compiled binary. */
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { modernRpc } from './support/flows.ts'
import { run, serve } from './support/processes.ts'
import { migratedDatabase, requestsTo, type TestServer } from './support/server.ts'
import { startUpstream } from './support/upstreams/start.ts'

setDefaultTimeout(60_000)

interface Attribute {
  key: string
  value: { stringValue?: string; intValue?: number }
}

interface Span {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  kind: number
  attributes: Attribute[]
}

/** OTLP as JSON: ExportTraceServiceRequest. */
interface Export {
  resourceSpans: { resource: { attributes: Attribute[] }; scopeSpans: { spans: Span[] }[] }[]
}

const SERVER = 2
const CLIENT = 3
const spans: Span[] = []
let service: unknown
/** What reached the upstream: header and `_meta` of each tools/call. */
const atUpstream: unknown[] = []

const collector = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  async fetch(request) {
    expect([new URL(request.url).pathname, request.headers.get('content-type')]).toEqual([
      '/v1/traces',
      'application/json',
    ])
    for (const { resource, scopeSpans } of ((await request.json()) as Export).resourceSpans) {
      service = resource.attributes.find(({ key }) => key === 'service.name')?.value.stringValue
      for (const scope of scopeSpans) spans.push(...scope.spans)
    }
    return Response.json({})
  },
})

const upstream = await startUpstream('sdk2')
const front = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  async fetch(request) {
    const body = await request.text()
    const { method, params } = JSON.parse(body)
    if (method === 'tools/call') atUpstream.push([request.headers.get('traceparent'), params._meta.traceparent])
    const headers = new Headers(request.headers)
    headers.set('host', new URL(upstream.url).host)
    return fetch(upstream.url, { method: 'POST', headers, body })
  },
})
const files = mkdtempSync(join(tmpdir(), 'tracing-'))
const database = await migratedDatabase()

afterAll(async () => {
  await collector.stop(true)
  await front.stop(true)
  await upstream[Symbol.asyncDispose]()
  await database.drop()
  rmSync(files, { recursive: true })
})

const attributesOf = (span: Span) =>
  Object.fromEntries(span.attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]))

test('requests, statements and calls of upstreams are spans of one trace, which clients begin and upstreams continue', async () => {
  writeFileSync(
    join(files, 'mcp.json'),
    JSON.stringify({ mcpServers: { fixture: { url: `${front.url.origin}/mcp` } } }),
  )
  const env = {
    ...database.env,
    MCP_SERVERS: join(files, 'mcp.json'),
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url.origin,
  }
  const program = await serve(env)
  const server = { ...requestsTo(program.base), base: program.base } as TestServer
  try {
    const added = await run(['client', 'add', 'Robot', '--grant', 'client_credentials'], env)
    const [, id, secret] = /CLIENT_ID=(\S+)\nCLIENT_SECRET=(\S+)/.exec(added.output)!
    const given = { trace: 'a'.repeat(32), span: 'b'.repeat(16) }
    const answer = await server.post(
      '/api/oauth/token',
      {
        grant_type: 'client_credentials',
        client_id: id!,
        client_secret: secret!,
        resource: `http://localhost:${program.port}/mcp/fixture`,
      },
      { traceparent: `00-${given.trace}-${given.span}-00` },
    )
    const { access_token } = (await answer.json()) as { access_token: string }
    await server.get('/healthz')
    const meta = { traceparent: `00-${'c'.repeat(32)}-${'d'.repeat(16)}-01` }
    const call = { name: 'test_simple_text', arguments: {} }
    const called = await modernRpc(server, access_token, 'tools/call', call, { path: '/mcp/fixture', meta })
    expect(called.status).toBe(200)
    await called.text()
    program.kill('SIGTERM')
    expect(await program.exited).toBe(0)

    const token = spans.find(one => attributesOf(one)['http.route'] === '/api/oauth/token')!
    expect([service, token.name, token.kind, token.traceId, token.parentSpanId]).toEqual([
      'mcp-oauth-server',
      'POST',
      SERVER,
      given.trace,
      given.span,
    ])
    expect(attributesOf(token)).toEqual({
      'http.request.method': 'POST',
      'http.route': '/api/oauth/token',
      'http.response.status_code': 200,
      'request.id': answer.headers.get('x-request-id')!,
    })
    const statements = spans.filter(one => one.parentSpanId === token.spanId && attributesOf(one)['db.query.text'])
    expect(statements.map(({ name, traceId, kind }) => [name, traceId, kind])).toContainEqual([
      'select',
      given.trace,
      CLIENT,
    ])
    const onCall = spans.find(one => one.name === 'tools/call test_simple_text')!
    expect([onCall.traceId, onCall.parentSpanId, onCall.kind]).toEqual(['c'.repeat(32), 'd'.repeat(16), CLIENT])
    expect(attributesOf(onCall)).toEqual({
      'mcp.method.name': 'tools/call',
      'mcp.server.name': 'fixture',
      'gen_ai.tool.name': 'test_simple_text',
    })
    const sent = `00-${onCall.traceId}-${onCall.spanId}-01`
    expect(atUpstream).toEqual([[sent, sent]])
    expect(spans.some(one => attributesOf(one)['http.route'] === '/healthz')).toBe(false)
    expect(JSON.stringify(spans)).not.toContain(secret!)
  } finally {
    program.kill('SIGKILL')
  }
})
