/**
 * Writes `deploy/start.order`: the functions that a start and some requests use, in that order, as hashes. The build lays
 * out their bytecode together, so that less of the binary is read. A function that has changed since counts as unused,
 * which costs little: run this now and then. Usage: bun run test/bench/start-order.ts
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { binary } from '../support/binary.ts'
import { ROOT } from '../support/command.ts'
import { startCluster } from '../support/with-postgres.ts'
import { CASES, type Case } from './cases.ts'
import { send, startOurs } from './contenders.ts'

await using stack = new AsyncDisposableStack()
const directory = mkdtempSync(join(tmpdir(), 'start-order-'))
stack.defer(() => rmSync(directory, { recursive: true, force: true }))
const cluster = await startCluster()
stack.defer(() => cluster.remove())

const recorded = join(directory, 'order')
const server = await startOurs(binary(), cluster, { BUN_BYTECODE_ORDER_OUT: recorded })
for (const { requests } of [CASES.credentials, ...Object.values(CASES)] as Case[]) {
  const [request] = requests(server.target, 1, 1)
  await send(server.url, request!)
}
await server[Symbol.asyncDispose]() // it writes the file when it ends
// The version of the format, and the functions. Hashes of their parts would make the file large and change nothing.
const lines = readFileSync(recorded, 'utf8').split('\n')
const kept = lines.filter((line, at) => at === 0 || line.startsWith('F '))
writeFileSync(join(ROOT, 'deploy/start.order'), `${kept.join('\n')}\n`)
