/** How the two codes are made (RFC 8628 5.1, 5.2, 6.1), judged by a sample; estimates favour the server. */
import { fail, passIf, type Requirement } from '../requirement.ts'

/** A code of 9 digits, the weaker of the RFC's examples, has 29.9 bits. */
const USER_CODE_BITS = 29.8
const DEVICE_CODE_BITS = 128

/** At most so many bits: positions that never differ hold none, the others any letter of the kinds that were seen. */
export function bitsOf(codes: string[]): number {
  const seen = codes.join('')
  const alphabet =
    (/[0-9]/.test(seen) ? 10 : 0) +
    (/[a-z]/.test(seen) ? 26 : 0) +
    (/[A-Z]/.test(seen) ? 26 : 0) +
    (/[-_+/.~]/.test(seen) ? 2 : 0)
  const longest = Math.max(...codes.map(code => code.length))
  const varying = Array.from({ length: longest }, (_, at) => new Set(codes.map(code => code[at])).size > 1)
  return varying.filter(Boolean).length * Math.log2(Math.max(alphabet, 1))
}

export const codes: Requirement[] = [
  {
    id: 'CODE-1',
    level: 'SHOULD',
    source: 'RFC 8628 5.1, 6.1',
    expected: 'User codes have entropy enough that guessing is infeasible with rate limits: 30 bits, as 9 digits have',
    async check(target) {
      const bits = bitsOf((await target.sample()).map(({ userCode }) => userCode.replace(/[^A-Za-z0-9]/g, '')))
      return passIf(bits >= USER_CODE_BITS, `${bits.toFixed(0)} bits at most`)
    },
  },
  {
    id: 'CODE-2',
    level: 'MUST',
    source: 'RFC 6749 10.10, RFC 8628 5.2',
    expected: 'Device codes have very high entropy: 128 bits',
    async check(target) {
      const bits = bitsOf((await target.sample()).map(({ deviceCode }) => deviceCode))
      return passIf(bits >= DEVICE_CODE_BITS, `${bits.toFixed(0)} bits at most`)
    },
  },
  {
    id: 'CODE-3',
    level: 'MAY',
    source: 'RFC 8628 6.1',
    expected: 'User codes use one case and no vowels, so that they are easy to type and form no words',
    async check(target) {
      const all = (await target.sample()).map(({ userCode }) => userCode).join('')
      const mixed = /[a-z]/.test(all) && /[A-Z]/.test(all)
      const vowels = /[AEIOU]/i.test(all)
      if (!mixed && !vowels) return passIf(true, 'one case, no vowels')
      return fail([mixed ? 'both cases' : '', vowels ? 'vowels' : ''].filter(Boolean).join(', '))
    },
  },
  {
    id: 'CODE-4',
    level: 'MUST',
    source: 'RFC 8628 3.2',
    expected: 'Every request gets codes of its own',
    async check(target) {
      const sample = await target.sample()
      const userCodes = new Set(sample.map(({ userCode }) => userCode)).size
      const deviceCodes = new Set(sample.map(({ deviceCode }) => deviceCode)).size
      return passIf(
        Math.min(userCodes, deviceCodes) === sample.length,
        `${userCodes} and ${deviceCodes} of ${sample.length}`,
      )
    },
  },
]
