/** The certificate of a server: its chain, its names, and how long it is valid. */
import { connect, rootCertificates } from 'node:tls'
import { printableText } from '../lib/text.ts'
import { type Check, failed, ok, warning } from './checks.ts'
import { counted } from './terminal.ts'

const SOON_DAYS = 14
const TIMEOUT_MS = 10_000

/**
 * Connects without refusing, so that an expired certificate is named with its date.
 *
 * @param ca The certificate of a further CA, PEM.
 */
export function checkCertificate({ hostname, port }: URL, ca?: string): Promise<Check> {
  const { promise, resolve } = Promise.withResolvers<Check>()
  const host = hostname.replace(/^\[|\]$/g, '')
  const socket = connect(
    {
      host,
      port: Number(port || 443),
      servername: host,
      rejectUnauthorized: false,
      ...(ca === undefined ? {} : { ca: [...rootCertificates, ca] }),
    },
    () => {
      const until = new Date(socket.getPeerCertificate().valid_to)
      const problem = socket.authorizationError as string | Error | null | undefined
      socket.destroy()
      resolve(judge(until, typeof problem === 'string' ? problem : ((problem as { code?: string })?.code ?? problem)))
    },
  )
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('no answer in 10 seconds')))
  socket.on('error', error =>
    resolve(failed('certificate', printableText(error.message, 200), 'Does anything listen there with TLS?')),
  )
  return promise
}

function judge(until: Date, problem: unknown): Check {
  const days = Math.floor((until.getTime() - Date.now()) / 86_400_000)
  if (days < 0) return failed('certificate', `expired on ${until.toISOString()}`, 'Renew it at the TLS proxy.')
  if (problem) {
    const [, fix] = FIXES.find(([pattern]) => pattern.test(String(problem))) ?? []
    return failed(
      'certificate',
      printableText(String(problem), 200),
      fix ?? 'Use one that clients trust, for this name.',
    )
  }
  if (days < SOON_DAYS)
    return warning('certificate', `expires in ${counted(days, 'day')}`, 'Renew it at the TLS proxy.')
  return ok('certificate', `valid until ${until.toISOString().slice(0, 10)}`)
}

const FIXES: [problem: RegExp, fix: string][] = [
  [/SELF_SIGNED/, 'Clients do not trust it: use one of a public CA, or name that of your own with --ca FILE.'],
  [
    /UNABLE_TO_(GET|VERIFY)/,
    'The chain is not complete: configure the TLS proxy with the intermediate certificates as well (fullchain.pem). A CA of your own: --ca FILE.',
  ],
  [/ALTNAME/, 'It is for another name: get one for this name at the TLS proxy.'],
  [/NOT_YET_VALID/, 'It is not valid yet, or the clock of this machine is slow.'],
  [/EXPIRED/, 'A certificate of its chain has expired: renew the chain at the TLS proxy.'],
]
