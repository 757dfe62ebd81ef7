/** `doctor --client`: how far each client came that tried to connect. */
import { type Attempt, listAttempts } from '../audit/attempts.ts'
import { withDeps } from './environment.ts'
import { print, printJson, relativeTime, say } from './terminal.ts'

const SHOWN = 20

export async function showAttempts(client: string | undefined, json: boolean | undefined): Promise<void> {
  await withDeps(async deps => {
    const attempts = await listAttempts(deps, client)
    if (json) return printJson(attempts.map(described))
    if (attempts.length === 0)
      return say(
        client === undefined ? 'No client has tried to connect.' : `No client like ${client} has tried to connect.`,
      )
    for (const attempt of attempts.slice(0, SHOWN)) printAttempt(attempt, deps.now())
    if (attempts.length > SHOWN) say(`${attempts.length - SHOWN} earlier ones; --json prints all.`)
  })
}

/** The stable form for programs. */
function described({ clientId, clientName, program, networks, beganAt, endedAt, steps, connected, finding }: Attempt) {
  return {
    client_id: clientId,
    client_name: clientName,
    program,
    networks,
    began_at: beganAt,
    ended_at: endedAt,
    connected,
    stopped_at: finding?.stoppedAt ?? null,
    cause: finding?.cause ?? null,
    fix: finding?.fix ?? null,
    steps,
  }
}

function printAttempt({ clientId, clientName, program, networks, beganAt, steps, finding }: Attempt, now: Date): void {
  const name = clientName ? `${clientName} (${clientId})` : (clientId ?? 'A client without an id')
  const outcome = finding ? `stopped at ${finding.stoppedAt}` : 'connected'
  print(`${name}, ${program} from ${networks.join(', ')}, ${relativeTime(beganAt, now)}: ${outcome}`)
  for (const { at, step, status, answer } of steps)
    print(`  ${at.toISOString().slice(11, 23)}  ${step.padEnd(13)}  ${status}${answer ? `  ${answer}` : ''}`)
  if (finding) print(`  Cause: ${finding.cause}\n  Fix: ${finding.fix}`)
  print('')
}
