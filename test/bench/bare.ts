/**
 * A server that does nothing but carry calls between HTTP and an upstream: what a gateway without tokens, policy, eras and
 * audit would reach. Prints its address. Usage: bare.ts JSON, of an address or a command with its arguments.
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Id, RpcRequest, RpcResponse } from '../../src/gateway/messages.ts'

const to: string | string[] = JSON.parse(process.argv[2]!)
const carry = typeof to === 'string' ? overHttp(to) : overPipes(to)
const server = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: carry })
console.log(`listening on http://127.0.0.1:${server.port}/mcp`)

function overPipes([command, ...args]: string[]) {
  const child = spawn(command!, args, { stdio: ['pipe', 'pipe', 'ignore'] })
  const waiting = new Map<Id, (answer: RpcResponse) => void>()
  createInterface({ input: child.stdout }).on('line', line => {
    const answer: RpcResponse = JSON.parse(line)
    waiting.get(answer.id)?.(answer)
    waiting.delete(answer.id)
  })
  let lastId = 0
  let batch: string[] = []
  const flush = () => {
    child.stdin.write(batch.join(''))
    batch = []
  }
  return async (request: Request): Promise<Response> => {
    const message = (await request.json()) as RpcRequest
    const id = ++lastId
    const sent = message.id === undefined ? message : { ...message, id }
    const { promise, resolve } = Promise.withResolvers<RpcResponse>()
    if (message.id !== undefined) waiting.set(id, resolve)
    if (batch.push(`${JSON.stringify(sent)}\n`) === 1) setImmediate(flush)
    if (message.id === undefined) return new Response(null, { status: 202 })
    return Response.json({ ...(await promise), id: message.id })
  }
}

function overHttp(url: string) {
  return async (request: Request): Promise<Response> => {
    const answer = await fetch(url, { method: request.method, headers: request.headers, body: await request.text() })
    return new Response(await answer.text(), { status: answer.status, headers: answer.headers })
  }
}
