/**
 * An upstream server that a test controls message by message: of either era, over stdio, Streamable HTTP or
 * HTTP+SSE. It checks nothing, so that it can also be wrong.
 */

import { join } from 'node:path'
import type { Socket } from 'bun'
import type { Id, RpcErrorBody, RpcRequest } from '../../src/gateway/messages.ts'
import { MODERN, SERVER_INFO } from '../../src/gateway/protocol.ts'
import { ROOT } from './command.ts'

type Json = Record<string, unknown>

export interface Script {
  era?: '2025' | '2026'
  wire?: 'stdio' | 'http' | 'sse'
  capabilities?: Json
  /** For `tools/list`; tools without a schema get the simplest one. */
  tools?: Json[]
  instructions?: string
  /** Any other request. @returns a result or `{ error }`; undefined sends no response. */
  answer?(request: RpcRequest, line: Line): Json | undefined | Promise<Json | undefined>
}

/** Messages to the gateway while a request is processed. */
export interface Line {
  /** A notification about the request, on its stream. */
  tell(message: Json): void
  /** A request to the client that belongs to the call. @returns its response. */
  ask(method: string, params?: Json): Promise<{ result?: Json; error?: RpcErrorBody }>
}

export interface Scripted extends Disposable {
  /** Can be changed while it runs. */
  script: Script
  /** For the `mcpServers` object. */
  entry: Json
  /** All messages that arrived, in order. */
  received: (Json & { method?: string; params?: Json; id?: Id })[]
  /** The requests of one method. */
  of(method: string): Scripted['received']
  /** A notification that belongs to no request: on standard output, or on the stream of every session. */
  broadcast(message: Json): void
  /** Headers of the last HTTP request. */
  headers(): Headers | undefined
  /** Number of streams that the gateway closed before the response. */
  abandoned(): number
}

export function startScripted(script: Script = {}): Scripted {
  const { era = '2025', wire = 'http' } = script
  const received: Scripted['received'] = []
  const everywhere = new Set<(message: object) => void>()
  const asked = new Map<Id, (answer: Json) => void>()
  let questions = 0
  let last: Headers | undefined
  let abandoned = 0

  const withVersion = (message: Json) => ({ jsonrpc: '2.0', ...message })

  function resultOf(request: RpcRequest, line: Line): ReturnType<NonNullable<Script['answer']>> {
    const { capabilities = { tools: {} }, tools = [], instructions } = script
    const about = { capabilities, ...(instructions === undefined ? {} : { instructions }) }
    const serverInfo = { name: 'scripted', version: '1' }
    if (request.method === 'initialize' && era === '2025')
      return { protocolVersion: '2025-11-25', serverInfo, ...about }
    if (request.method === 'server/discover' && era === '2026')
      return { supportedVersions: [MODERN], resultType: 'complete', ...about, _meta: { [SERVER_INFO]: serverInfo } }
    if (request.method === 'server/discover' || request.method === 'initialize')
      return { error: { code: -32601, message: 'Method not found' } }
    if (request.method === 'tools/list' && script.tools)
      return { tools: tools.map(tool => ({ inputSchema: { type: 'object' }, ...tool })) }
    return script.answer?.(request, line) ?? { error: { code: -32601, message: 'Method not found' } }
  }

  /** @param tell Sends a message on the stream of the request. */
  async function take(message: Json, tell: (message: object) => void): Promise<void> {
    received.push(message)
    if (message.method === undefined) return asked.get(message.id as Id)?.(message)
    if (message.id === undefined) return
    const line: Line = {
      tell: about => tell(withVersion(about)),
      ask(method, params) {
        const id = `question-${++questions}`
        const { promise, resolve } = Promise.withResolvers<Json>()
        asked.set(id, resolve)
        tell(withVersion({ id, method, ...(params ? { params } : {}) }))
        return promise
      },
    }
    const result = await resultOf(message as unknown as RpcRequest, line)
    if (result?.error) tell(withVersion({ id: message.id, error: result.error }))
    else if (result) tell(withVersion({ id: message.id, result }))
  }

  const opened = wire === 'stdio' ? overStdio() : overHttp()

  function overStdio() {
    const rest = new WeakMap<Socket, string>()
    const listener = Bun.listen({
      hostname: '127.0.0.1',
      port: 0,
      socket: {
        open(socket) {
          everywhere.add(message => void socket.write(`${JSON.stringify(message)}\n`))
        },
        data(socket, chunk) {
          const lines = `${rest.get(socket) ?? ''}${chunk.toString('utf8')}`.split('\n')
          rest.set(socket, lines.pop()!)
          for (const line of lines)
            void take(JSON.parse(line), message => void socket.write(`${JSON.stringify(message)}\n`))
        },
      },
    })
    const args = ['run', join(ROOT, 'test/support/bridge-stdio.ts'), String(listener.port)]
    return { entry: { command: process.execPath, args }, stop: () => listener.stop(true) }
  }

  function overHttp() {
    const streams = new Map<string, (message: object) => void>()
    const server = Bun.serve({
      hostname: '127.0.0.1',
      port: 0,
      idleTimeout: 0,
      async fetch(request) {
        last = request.headers
        const session = new URL(request.url).searchParams.get('session') ?? request.headers.get('mcp-session-id')
        if (request.method === 'DELETE') return new Response()
        if (request.method === 'GET') return era === '2026' ? refused(405) : openStream(request)
        if (wire === 'sse' && session === null) return refused(405)
        const body = (await request.json()) as Json | Json[]
        const messages = Array.isArray(body) ? body : [body]
        if (wire === 'sse') {
          for (const message of messages) void take(message, streams.get(session!)!)
          return new Response('Accepted', { status: 202 })
        }
        return answerOn(messages)
      },
    })

    function openStream(request: Request): Response {
      const id = crypto.randomUUID()
      const { response, send, first } = eventStream(() => void everywhere.delete(send))
      everywhere.add(send)
      if (wire === 'sse') {
        streams.set(id, send)
        first(`event: endpoint\ndata: ${new URL(request.url).pathname}?session=${id}\n\n`)
      }
      return response
    }

    /** Everything about a request is sent on its stream, which ends with the response. */
    function answerOn(messages: Json[]): Response {
      const owed = new Set<unknown>(
        messages.flatMap(({ id, method }) => (method === undefined || id === undefined ? [] : [id])),
      )
      if (owed.size === 0) {
        for (const message of messages) void take(message, () => {})
        return new Response(null, { status: 202 })
      }
      const { response, send, end } = eventStream(() => void abandoned++)
      const tell = (message: object) => {
        send(message)
        const { id, method } = message as Json
        if (method === undefined && owed.delete(id) && owed.size === 0) end()
      }
      for (const message of messages) void take(message, tell)
      if (messages.some(({ method }) => method === 'initialize') && era === '2025')
        response.headers.set('Mcp-Session-Id', crypto.randomUUID())
      return response
    }

    return {
      entry: { url: `http://127.0.0.1:${server.port}/mcp`, ...(wire === 'sse' ? { type: 'sse' } : {}) },
      stop: () => server.stop(true),
    }
  }

  return {
    script,
    entry: opened.entry,
    received,
    of: method => received.filter(message => message.method === method),
    broadcast(message) {
      for (const send of everywhere) send(withVersion(message))
    },
    headers: () => last,
    abandoned: () => abandoned,
    [Symbol.dispose]: () => void opened.stop(),
  }
}

const refused = (status: number) => new Response(null, { status })

function eventStream(onGone: () => void) {
  const encoder = new TextEncoder()
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  const body = new ReadableStream<Uint8Array>({
    start(opened) {
      controller = opened
    },
    cancel() {
      controller = undefined
      onGone()
    },
  })
  const first = (text: string) => controller?.enqueue(encoder.encode(text))
  first(':\n\n')
  return {
    response: new Response(body, { headers: { 'Content-Type': 'text/event-stream' } }),
    first,
    send: (message: object) => void first(`event: message\ndata: ${JSON.stringify(message)}\n\n`),
    end() {
      controller?.close()
      controller = undefined
    },
  }
}
