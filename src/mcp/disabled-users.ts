import type { Gateway } from '../gateway/exchange.ts'
import type { OAuthDeps } from '../oauth/deps.ts'
import { lookUpUser } from '../oauth/memory.ts'

/** Ends the upstream processes of users who were disabled or removed, and of clients that were removed. */
export function endWithPrincipals(deps: OAuthDeps, gateway: Gateway): void {
  const { memory, log } = deps
  const end = (ending: Promise<void>) =>
    ending.catch(error => {
      log.error({ err: { message: (error as Error).message } }, 'could not end the processes of a principal')
    })
  memory.onRevoked.add(subject => {
    if (subject.startsWith('client:') || subject.startsWith('user:')) void end(gateway.endPrincipal(subject))
  })
  memory.onUserChanged.add(userId => {
    void end(
      Promise.resolve(lookUpUser(deps, userId)).then(async user => {
        if (!user || user.disabled) await gateway.endPrincipal(`user:${userId}`)
      }),
    )
  })
}
