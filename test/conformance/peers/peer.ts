/** Runs the suite against a peer in this process, with a person who is a function. */
import { join } from 'node:path'
import { freePort } from '../../support/ports.ts'

export type Person = (userCode: string, decision: 'approve' | 'deny', verificationUri: string) => Promise<void>

/** @param args of the suite. Ends the process as the suite ends. */
export async function runSuite(issuer: string, person: Person, args: string[]): Promise<never> {
  const approver = Bun.serve({
    hostname: '127.0.0.1',
    port: await freePort(),
    idleTimeout: 60,
    async fetch(request) {
      const query = new URL(request.url).searchParams
      await person(query.get('code')!, query.get('decision') as 'approve' | 'deny', query.get('uri')!)
      return new Response('done')
    },
  })
  const data = '-d decision="$DECISION" --data-urlencode code="$USER_CODE" --data-urlencode uri="$VERIFICATION_URI"'
  const approve = ['--approve', `curl -fsS -G ${data} ${approver.url.href} #`]
  const suite = Bun.spawn([process.execPath, 'run', join(import.meta.dir, '../run.ts'), issuer, ...approve, ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  process.exit(await suite.exited)
}
