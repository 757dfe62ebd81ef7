/** A server that starts one child and waits to be killed: `gateway-parent.ts STATE_DIR MODE METHOD`. */
import { openSupervisor } from '../../src/gateway/supervisor.ts'
import { childSpec, connect, keptLog } from './gateway-children.ts'

const [stateDir, mode, method] = process.argv.slice(2)
const supervisor = openSupervisor({ log: keptLog().log, now: () => new Date(), stateDir: stateDir! })
const connection = await connect(supervisor, childSpec(mode))
const answer = await connection.call(method!)
console.log(JSON.stringify({ child: connection.pid, ...answer }))
setInterval(() => {}, 1000)
