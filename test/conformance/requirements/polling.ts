/** The device access token request and its errors (RFC 8628 3.4, 3.5). */
import { type Answer, describe, errorOf, isJson, isNotStored, mediaType } from '../http.ts'
import { DEVICE_CODE_GRANT, type Device } from '../model.ts'
import { fail, notTested, passIf, type Requirement } from '../requirement.ts'
import { sleep } from '../target.ts'

/** A little more than the interval: clocks and networks differ. */
const wait = ({ interval }: Device) => sleep(interval + 0.3)
const is = (answer: Answer, ...errors: string[]) => answer.status === 400 && errors.includes(errorOf(answer))
const hasToken = (answer: Answer) => answer.status === 200 && typeof answer.json?.access_token === 'string'

export const polling: Requirement[] = [
  {
    id: 'POLL-1',
    level: 'MUST',
    source: 'RFC 8628 3.4, 3.5, RFC 6749 5.2',
    expected: 'A poll (form-encoded) before the decision is answered with 400 authorization_pending',
    async check(target) {
      const { deviceCode } = await target.device()
      const form = { grant_type: DEVICE_CODE_GRANT, device_code: deviceCode }
      const answer = await target.requestToken(form, undefined, false)
      return passIf(is(answer, 'authorization_pending'), describe(answer))
    },
  },
  {
    id: 'POLL-2',
    level: 'MUST',
    source: 'RFC 6749 5.2',
    expected: 'Errors have the content type application/json',
    async check(target) {
      const answer = await target.poll(await target.device())
      return passIf(isJson(answer), mediaType(answer))
    },
  },
  {
    id: 'POLL-3',
    level: 'SHOULD',
    source: 'RFC 8628 3.5, 5.2',
    expected: 'A second poll within the interval is answered with 400 slow_down',
    async check(target) {
      const device = await target.device()
      const deadline = performance.now() + 30_000
      for (;;) {
        const started = performance.now()
        await target.poll(device)
        const answer = await target.poll(device)
        // On a slow machine the second poll may be late.
        const isEarly = performance.now() - started < device.interval * 900
        if (isEarly || performance.now() > deadline) return passIf(is(answer, 'slow_down'), describe(answer))
      }
    },
  },
  {
    id: 'POLL-4',
    level: 'MAY',
    source: 'RFC 8628 3.5',
    expected: 'After slow_down the interval that is enforced is 5 seconds longer',
    async check(target) {
      const device = await target.device()
      await target.poll(device)
      if (!is(await target.poll(device), 'slow_down')) return notTested('no slow_down: see POLL-3')
      await wait(device)
      const answer = await target.poll(device)
      return passIf(is(answer, 'slow_down'), `${describe(answer)} after the first interval`)
    },
  },
  {
    id: 'POLL-5',
    level: 'MUST',
    source: 'RFC 8628 3.2, 3.5',
    expected: 'A client that waits for the interval between polls is not told to slow down',
    async check(target) {
      const device = await target.device()
      await target.poll(device)
      await wait(device)
      const answer = await target.poll(device)
      return passIf(errorOf(answer) !== 'slow_down', describe(answer))
    },
  },
  {
    id: 'POLL-6',
    level: 'MUST',
    source: 'RFC 8628 3.5, RFC 6749 5.2',
    expected: 'An unknown device code is refused with 400 invalid_grant',
    async check(target) {
      const answer = await target.poll({ deviceCode: crypto.randomUUID() })
      return passIf(is(answer, 'invalid_grant'), describe(answer))
    },
  },
  {
    id: 'POLL-7',
    level: 'MUST',
    source: 'RFC 8628 3.4, RFC 6749 5.2',
    expected: 'A request without device_code is refused with 400 invalid_request',
    async check(target) {
      const answer = await target.requestToken({ grant_type: DEVICE_CODE_GRANT })
      return passIf(is(answer, 'invalid_request'), describe(answer))
    },
  },
  {
    id: 'POLL-8',
    level: 'MUST',
    source: 'RFC 6749 5.2',
    expected: 'An unknown grant type is refused with 400 unsupported_grant_type',
    async check(target) {
      const answer = await target.requestToken({ grant_type: 'urn:example:conformance' })
      return passIf(is(answer, 'unsupported_grant_type'), describe(answer))
    },
  },
  {
    id: 'POLL-9',
    level: 'SHOULD',
    source: 'RFC 8628 3.4, RFC 6749 5.2',
    expected: 'An unknown client is refused with 400 or 401 invalid_client',
    async check(target) {
      const answer = await target.poll(await target.device(), { id: crypto.randomUUID() })
      return passIf([400, 401].includes(answer.status) && errorOf(answer) === 'invalid_client', describe(answer))
    },
  },
  {
    id: 'POLL-10',
    level: 'MUST',
    source: 'RFC 8628 3.4, RFC 6749 5.2',
    expected: "Another client's poll is refused with 400 invalid_grant, and the code stays its owner's",
    async check(target) {
      const [device, other] = [await target.device(), await target.otherClient()]
      const stolen = await target.poll(device, other)
      if (!is(stolen, 'invalid_grant')) return fail(`${describe(stolen)} for another client`)
      const own = errorOf(await target.poll(device))
      return passIf(['authorization_pending', 'slow_down'].includes(own), `invalid_grant, then ${own} for its own`)
    },
  },
  {
    id: 'POLL-11',
    level: 'MUST',
    source: 'RFC 8628 3.5, RFC 6749 5.1',
    expected: 'After approval the poll is answered with 200, access_token and token_type',
    async check(target) {
      const answer = await target.tokens()
      return passIf(hasToken(answer) && typeof answer.json?.token_type === 'string', describe(answer))
    },
  },
  {
    id: 'POLL-12',
    level: 'MUST',
    source: 'RFC 6749 5.1',
    expected: 'The token response is application/json with Cache-Control: no-store',
    async check(target) {
      const answer = await target.tokens()
      const seen = `${mediaType(answer)}, ${isNotStored(answer) ? 'no-store' : 'no no-store'}`
      return hasToken(answer) ? passIf(isJson(answer) && isNotStored(answer), seen) : notTested(describe(answer))
    },
  },
  {
    id: 'POLL-13',
    level: 'SHOULD',
    source: 'RFC 6749 5.1',
    expected: 'The token response says how long the access token lives: expires_in, a number',
    async check(target) {
      const answer = await target.tokens()
      if (!hasToken(answer)) return notTested(describe(answer))
      const { expires_in: seconds } = answer.json ?? {}
      return passIf(typeof seconds === 'number' && seconds > 0, `a ${typeof seconds}`)
    },
  },
  {
    id: 'POLL-14',
    level: 'MUST',
    source: 'RFC 6749 4.1.2, 10.5, as of codes',
    expected: 'A device code is used once: of three polls at once and one after them, one gets tokens',
    async check(target) {
      const device = await target.device()
      await target.decide(device, 'approve')
      const atOnce = await Promise.all([1, 2, 3].map(() => target.poll(device)))
      const answers = [...atOnce, await target.poll(device)]
      const won = answers.filter(hasToken).length
      return won === 0 ? notTested(describe(answers[0]!)) : passIf(won === 1, `${won} of 4 got tokens`)
    },
  },
  {
    id: 'POLL-15',
    level: 'MUST',
    source: 'RFC 8628 3.5',
    expected: 'After a denial the poll is answered with 400 access_denied',
    async check(target) {
      const device = await target.device()
      await target.decide(device, 'deny')
      const answer = await target.poll(device)
      return passIf(is(answer, 'access_denied'), describe(answer))
    },
  },
  {
    id: 'POLL-16',
    level: 'MUST',
    source: 'RFC 8628 3.5',
    expected: 'An expired device code is answered with 400 expired_token',
    async check(target) {
      const device = await target.device()
      if (!(device.expiresIn + 1 <= target.options.maxWait)) return notTested(`it lives longer than --max-wait`)
      await sleep(device.expiresIn + 1)
      const answer = await target.poll(device)
      return passIf(is(answer, 'expired_token'), describe(answer))
    },
  },
]
