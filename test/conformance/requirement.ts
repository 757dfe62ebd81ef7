/** What a requirement is, and what a check can find. */
import type { Target } from './target.ts'

/** In the source's words; where it describes and does not command, what follows from it. */
export type Level = 'MUST' | 'SHOULD' | 'MAY'

export type Outcome = 'pass' | 'fail' | 'not offered' | 'not tested'

export interface Finding {
  outcome: Outcome
  /** What the server did, in our own words: statuses, error codes and names of members, never a secret. */
  seen: string
}

export interface Requirement {
  id: string
  level: Level
  /** Document and section. */
  source: string
  /** What the server is expected to do. */
  expected: string
  check(target: Target): Promise<Finding>
}

export interface Result extends Finding, Omit<Requirement, 'check'> {}

export const pass = (seen: string): Finding => ({ outcome: 'pass', seen })
export const fail = (seen: string): Finding => ({ outcome: 'fail', seen })
/** The server does not have what the requirement is about. */
export const notOffered = (seen: string): Finding => ({ outcome: 'not offered', seen })
/** This run could not find out. */
export const notTested = (seen: string): Finding => ({ outcome: 'not tested', seen })
export const passIf = (holds: boolean, seen: string): Finding => (holds ? pass(seen) : fail(seen))
