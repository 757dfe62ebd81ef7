/**
 * A server that does nothing but carry calls between HTTP and the pipes of `echo-server.ts`: what a gateway without
 * tokens, policy, eras and audit would reach. Prints its port.
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Id, RpcRequest, RpcResponse } from '../../src/gateway/messages.ts'
import { ECHO } from './peers.ts'

const child = spawn(ECHO[0]!, ECHO.slice(1), { stdio: ['pipe', 'pipe', 'ignore'] })
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
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  async fetch(request) {
    const message = (await request.json()) as RpcRequest
    if (message.id === undefined) return new Response(null, { status: 202 })
    const id = ++lastId
    const { promise, resolve } = Promise.withResolvers<RpcResponse>()
    waiting.set(id, resolve)
    if (batch.push(`${JSON.stringify({ ...message, id })}\n`) === 1) setImmediate(flush)
    return Response.json({ ...(await promise), id: message.id })
  },
})
console.log(`listening on http://127.0.0.1:${server.port}/mcp`)
