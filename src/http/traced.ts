/** Records the steps of clients on their way to a connection; see `audit/steps`. */
import { PENDING, type Step } from '../audit/steps.ts'
import type { Base } from '../base.ts'
import { AppError, OAuthError, SignInRequired } from '../lib/errors.ts'
import { networkOf } from '../lib/networks.ts'
import { printableText } from '../lib/text.ts'
import { clientAddress, type Handled } from './client-address.ts'
import { senderOf } from './requests.ts'

/** What a handler says of its answer. */
const answers = new WeakMap<Request, string | null>()

/** Adds to a step what its status does not tell. @param answer Our own words; null: it is not a step. */
export function noteAnswer(request: Request, answer: string | null): void {
  answers.set(request, answer)
}

/** Runs a handler, and records how the step ended. */
export async function traced(
  deps: Base,
  handled: Handled,
  step: Step,
  handler: () => Response | Promise<Response>,
): Promise<Response> {
  try {
    const response = await handler()
    see(deps, handled, step, response.status, answers.get(handled.request))
    return response
  } catch (error) {
    seeError(deps, handled, step, error)
    throw error
  }
}

/** Records a step that was refused; other errors are ours, and in the log. */
export function seeError(deps: Base, handled: Handled, step: Step, error: unknown): void {
  if (error instanceof SignInRequired) see(deps, handled, step, 303, 'sent to the sign-in page')
  else if (error instanceof AppError) see(deps, handled, step, error.status, error.detail ?? error.title)
  else if (error instanceof OAuthError) {
    const isPending = error.error === 'authorization_pending' || error.error === 'slow_down'
    see(deps, handled, step, error.status, isPending ? PENDING : (error.detail ?? error.description))
  }
}

/** @param client Default: the one that the request was identified with. */
export function see(
  deps: Base,
  { request, server }: Handled,
  step: Step,
  status: number,
  answer: string | null | undefined,
  client = senderOf(request)?.client,
): void {
  if (answer === null) return
  deps.steps.see({
    step,
    clientId: client ?? null,
    network: networkOf(clientAddress(deps, request, server)),
    program: programOf(request.headers.get('user-agent')),
    status,
    answer: answer === undefined ? null : printableText(answer, 300),
  })
}

/** The first product of a user agent, such as `claude-code/2.1`. */
function programOf(userAgent: string | null): string {
  return /^[!-~]{1,60}/.exec(userAgent ?? '')?.[0] ?? 'unknown'
}
