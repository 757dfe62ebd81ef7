import { UsageError } from '../lib/errors.ts'
import { createSignInLink, inviteUser, LINK_MINUTES } from '../signin/service.ts'
import { readArgs, withDeps } from './environment.ts'

const USAGE = 'Usage: mcp-oauth-server user link EMAIL [--admin] | invite EMAIL [--admin]'

export async function run(args: string[]): Promise<void> {
  const { values, positionals } = readArgs(args, { admin: { type: 'boolean', default: false } })
  const [action, email, ...more] = positionals
  if (!email || more.length > 0 || (action !== 'link' && action !== 'invite')) throw new UsageError(USAGE)
  if (!/^[^\s@]+@[^\s@]+$/.test(email)) throw new UsageError(`${email} is not an e-mail address`)
  const isAdmin = values.admin === true
  await withDeps(async deps => {
    if (action === 'link') {
      console.log(await createSignInLink(deps, email, { isAdmin }))
      console.error(`Works once, for ${LINK_MINUTES} minutes.`)
    } else {
      await inviteUser(deps, email, isAdmin)
      console.log(`${email} may sign in now, with a provider that has verified this address.`)
    }
  })
}
