/** What RFC 9700 wants of the tokens that a device gets. */
import { type Answer, describe, errorOf } from '../http.ts'
import { Unchecked } from '../model.ts'
import { fail, notOffered, notTested, passIf, type Requirement } from '../requirement.ts'
import type { Target } from '../target.ts'

const refreshTokenOf = (answer: Answer) =>
  typeof answer.json?.refresh_token === 'string' ? answer.json.refresh_token : undefined

/** A refresh token of a new grant. */
async function firstRefreshToken(target: Target): Promise<string> {
  const answer = await target.tokens()
  if (answer.status !== 200) throw new Unchecked('not tested', `no tokens: ${describe(answer)}`)
  const token = refreshTokenOf(answer)
  if (token === undefined) throw new Unchecked('not offered', 'no refresh token for this client and scope')
  return token
}

export const tokens: Requirement[] = [
  {
    id: 'TOK-1',
    level: 'MUST',
    source: 'RFC 9700 2.2.2, 4.14.2',
    expected: "A public client's refresh token is rotated with every use",
    async check(target) {
      if ((await target.client()).secret !== undefined) return notTested('the client is confidential')
      const first = await firstRefreshToken(target)
      const answer = await target.refresh(first)
      if (answer.status !== 200) return fail(describe(answer))
      if (answer.json?.token_type === 'DPoP') return notTested('the token is sender-constrained')
      const rotated = ![undefined, first].includes(refreshTokenOf(answer))
      return passIf(rotated, rotated ? 'another refresh token' : 'the same refresh token goes on')
    },
  },
  {
    id: 'TOK-2',
    level: 'MUST',
    source: 'RFC 9700 2.2.2, 4.14.2',
    expected: 'A rotated refresh token starts no second line: it is refused, or answered with its one successor again',
    async check(target) {
      const first = await firstRefreshToken(target)
      const successor = refreshTokenOf(await target.refresh(first))
      if (successor === undefined || successor === first) return notTested('not rotated: see TOK-1')
      const again = await target.refresh(first)
      if (again.status !== 200) return passIf(errorOf(again) === 'invalid_grant', describe(again))
      const same = refreshTokenOf(again) === successor
      return passIf(same, same ? 'the same successor' : 'a second successor')
    },
  },
  {
    id: 'TOK-3',
    level: 'MUST',
    source: 'RFC 6749 5.2, 10.4',
    expected: "Another client's use of a refresh token is refused with 400 invalid_grant",
    async check(target) {
      const token = await firstRefreshToken(target)
      const answer = await target.refresh(token, await target.otherClient())
      return passIf(answer.status === 400 && errorOf(answer) === 'invalid_grant', describe(answer))
    },
  },
  {
    id: 'TOK-4',
    level: 'MUST',
    source: 'RFC 6749 6',
    expected: 'A refresh never widens the scope',
    async check(target) {
      const granted = await target.tokens()
      const token = refreshTokenOf(granted)
      if (token === undefined) return notOffered('no refresh token for this client and scope')
      const scope = typeof granted.json?.scope === 'string' ? granted.json.scope : (target.options.scope ?? '')
      const offered = target.metadata?.scopes_supported
      const more = (Array.isArray(offered) ? offered : []).find(name => !scope.split(' ').includes(name))
      if (typeof more !== 'string') return notTested('every scope in the metadata was granted; narrow it with --scope')
      const answer = await target.requestToken({
        grant_type: 'refresh_token',
        refresh_token: token,
        scope: `${scope} ${more}`.trim(),
      })
      if (answer.status !== 200) return passIf(errorOf(answer) === 'invalid_scope', describe(answer))
      const got = typeof answer.json?.scope === 'string' ? answer.json.scope.split(' ') : []
      return passIf(answer.json?.scope !== undefined && !got.includes(more), 'answered with 200')
    },
  },
]
