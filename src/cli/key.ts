import { rotateSigningKey } from '../oauth/key-rotation.ts'
import { KEY_SET_SECONDS, listPublishedKeys } from '../oauth/keys.ts'
import { withDeps } from './environment.ts'
import { print, printJson, printTable, say } from './terminal.ts'

export async function list({ json }: { json?: boolean }): Promise<void> {
  await withDeps(async deps => {
    const keys = (await listPublishedKeys(deps)).map(({ kid, created_at, signs_at, retired_at }) => ({
      kid,
      created_at,
      signs_at,
      retired_at,
    }))
    if (json) return printJson(keys)
    const rows = keys.map(({ kid, created_at, signs_at, retired_at }) => [kid, created_at, signs_at, retired_at])
    await printTable({ columns: ['id', 'created', 'signs from', 'replaced'], rows }, deps.now())
  })
}

export async function rotate({ revoke = false }: { revoke?: boolean }): Promise<void> {
  const minutes = KEY_SET_SECONDS / 60
  await withDeps(async deps => {
    const { kid, signsAt } = await rotateSigningKey(deps, { revoke })
    if (revoke) {
      print(`New tokens are signed with ${kid}; all earlier access tokens are refused.`)
      say(`Your own servers may keep trusting the old keys from a cached key set for up to ${minutes} minutes.`)
      return
    }
    print(
      `New tokens are signed with ${kid} from ${signsAt.toISOString()}, in ${minutes} minutes, when every cached key set contains it. Tokens signed with the old key stay valid until they expire.`,
    )
  })
}
