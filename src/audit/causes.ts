/** Where an attempt to connect stopped, the likely cause, and the fix: a sentence each. */
import type { StepRow } from '../../sql/connection-steps.ts'
import { PENDING } from './steps.ts'

export interface Finding {
  /** The last step that was reached; `waiting` if it may still go on. */
  stoppedAt: string
  cause: string
  fix: string
}

/** The cause of what has not stopped yet. */
export const MAY_GO_ON = 'It may still go on.'

type Done = Pick<StepRow, 'at' | 'step' | 'status' | 'answer'>

/** Programs ask for the next thing within seconds; people take longer. */
const PROGRAM_MS = 60_000
const PERSON_MS = 15 * 60_000

export function findCause({ steps }: { steps: readonly Done[] }, now: Date): Finding {
  const last = steps.at(-1)!
  const idle = now.getTime() - last.at.getTime()
  const stop = (cause: string, fix: string): Finding => ({ stoppedAt: last.step, cause, fix })
  if (last.status >= 400 && last.answer !== PENDING && last.step !== 'challenge') return refused(last, stop)
  const waits =
    last.step === 'sign-in' || last.step === 'authorization' || last.step === 'device code' || last.answer === PENDING
  if (idle < (waits ? PERSON_MS : PROGRAM_MS))
    return { stoppedAt: last.step, cause: MAY_GO_ON, fix: 'Wait, then look again.' }
  return silent(last, steps, stop)
}

/** What is told to the client, in our words, and what that means for the operator. */
const REFUSALS: readonly [step: string, answer: RegExp, cause: string, fix: string][] = [
  [
    'registration',
    /closed/,
    'Registration is closed here',
    'Give it a client id (client add), or set REGISTRATION=open.',
  ],
  [
    'registration',
    /initial access token/,
    'Registration needs the initial access token',
    'Give it INITIAL_ACCESS_TOKEN or a client id (client add), or set REGISTRATION=open.',
  ],
  [
    'registration',
    /redirect/,
    'Its redirect URI was refused',
    'It must be https, http on loopback, or a private scheme; report it to the developers of the app.',
  ],
  [
    '',
    /does not resolve/,
    'Its metadata document could not be fetched: its host name does not resolve here',
    'Let this server reach the internet and its DNS, or set CLIENT_METADATA_DOCUMENTS=false and add the server to the app again.',
  ],
  [
    '',
    /document|^(has|is|was|names) /,
    'Its metadata document could not be used',
    'Check that this server can fetch it (doctor), or set CLIENT_METADATA_DOCUMENTS=false and add the server to the app again.',
  ],
  [
    '',
    /not registered for the grant type/,
    'It is registered for other ways to get a token',
    'Remove this server from the app and add it again, so that it registers, or add a client of the right kind for it.',
  ],
  [
    '',
    /resource must be one of/,
    'It asked for a resource that is not ours',
    'Give it the address exactly as BASE_URL/mcp, and set BASE_URL to the address that clients use.',
  ],
  [
    'authorization',
    /unknown client|no client_id/,
    'It used a client id that this server does not know: from another server, or before the database was reset',
    'Remove this server from the app and add it again, so that it registers.',
  ],
  [
    'authorization',
    /redirect/,
    'It asked to return to an address that it has not registered',
    'Add that address to the client, or remove this server from the app and add it again.',
  ],
  [
    'authorization',
    /code_challenge|PKCE/,
    'It does not use PKCE with S256',
    'Update the app; there is no other way to sign in with a browser.',
  ],
  [
    'sign-in',
    /./,
    'The person could not sign in',
    'If they should have access: user invite EMAIL, or ALLOWED_EMAILS; audit list --event user.refused names the address.',
  ],
  [
    'approval',
    /./,
    'A wrong or expired user code was entered',
    'Start again on the device, and type the code that it shows then.',
  ],
  [
    'token',
    /wrong secret|no secret|secret sent|assertion/,
    'Its client secret or key is wrong',
    'client rotate-secret ID, and give the new secret to the app.',
  ],
  [
    'token',
    /unknown client|no client credentials/,
    'It used a client id that this server does not know',
    'Remove this server from the app and add it again, so that it registers.',
  ],
  [
    'token',
    /refresh token/i,
    'Its refresh token is no longer valid: revoked, expired, or used by two installations',
    'Sign in again in the app.',
  ],
  [
    'token',
    /device code|device_code/i,
    'Its device code has expired, was denied or was used already',
    'Start again, and approve within the time that the device shows.',
  ],
  [
    'token',
    /code|verifier|redirect/i,
    'Its authorization code was refused: used twice, too late, or with another verifier',
    'Connect it again; if that repeats, report it to the developers of the app.',
  ],
  [
    'call',
    /another resource/,
    'Its token is for another MCP endpoint',
    'Connect it to the address that it calls: each endpoint has tokens of its own.',
  ],
  [
    'call',
    /scope/,
    'Its token lacks a scope that the call needs',
    'Connect it again and allow what it asks for; see the table of scopes in the README.',
  ],
  ['call', /access to this server/, 'Its user may not use this server', 'Change "users" of the entry in MCP_SERVERS.'],
  ['call', /./, 'Its token was refused: expired, revoked, or of another server', 'Sign in again in the app.'],
]

function refused({ step, answer }: Done, stop: (cause: string, fix: string) => Finding): Finding {
  const found = REFUSALS.find(([at, pattern]) => (at === '' || at === step) && pattern.test(answer ?? ''))
  const said = answer === null ? '' : ` (${answer})`
  if (found) return stop(`${found[2]}${said}.`, found[3])
  return stop(`The step “${step}” was refused${said}.`, 'See the audit log and the log of that time.')
}

/** It did not come back for the next step. */
function silent(last: Done, steps: readonly Done[], stop: (cause: string, fix: string) => Finding): Finding {
  const had = (step: string) => steps.some(done => done.step === step && done.status < 400)
  if (last.step === 'challenge' && had('token'))
    return stop(
      'It has a token, but its calls arrive without one.',
      'Let the proxy in front pass the Authorization header on.',
    )
  if (last.step === 'challenge')
    return stop(
      'It was told where to sign in, and did not look.',
      'If it cannot sign in by itself, connect it through mcp-remote, or give it a personal access token (token add).',
    )
  if (last.step === 'metadata')
    return stop(
      'It read where to sign in, and did not go on.',
      'Set BASE_URL to exactly the address that the app was given, and run: doctor BASE_URL/mcp.',
    )
  if (last.step === 'registration')
    return stop(
      'It registered and never opened the sign-in page: no browser, or the person closed it.',
      'On a machine without a browser, use the device grant (login, mcp-remote --device-code).',
    )
  if (last.answer === PENDING || last.step === 'device code')
    return last.answer === PENDING
      ? stop(
          'Nobody entered its code before it expired.',
          'Open the address that the device shows: is BASE_URL reachable from the phone or browser?',
        )
      : stop(
          'It got a device code and never asked for the token.',
          'The app ended or lost its connection; start it again.',
        )
  if (last.step === 'sign-in' && last.status < 400 && had('authorization'))
    return stop('The person signed in and did not decide.', 'Open the app’s sign-in again, and press Approve.')
  if (last.step === 'authorization')
    return last.answer === 'sent to the sign-in page'
      ? stop(
          'The person never came back from the sign-in page.',
          'Can they sign in at BASE_URL? The callback URL at the provider must be the one that doctor shows.',
        )
      : stop('The consent page was shown, and nobody decided.', 'Open the app’s sign-in again, and press Approve.')
  if (last.answer === 'denied') return stop('The person denied it.', 'Connect it again if that was a mistake.')
  if (last.step === 'consent')
    return stop(
      'It was approved, and never came back from the browser with its code.',
      'Approve in a browser on the machine where the app runs, while it waits; elsewhere use the device grant.',
    )
  if (last.step === 'approval')
    return stop(
      'It was approved, and never fetched its token.',
      'The app ended or lost its connection; start it again.',
    )
  if (last.step === 'token')
    return stop(
      'It got a token, and has not called yet.',
      'Use the app: some sign in before they connect. If that fails, run: doctor BASE_URL/mcp.',
    )
  return stop('It stopped.', 'See the audit log and the log of that time.')
}
