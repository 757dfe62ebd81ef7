/** Everything that is checked, in the order of the report. */
import { BrokenRun, Unchecked } from './model.ts'
import { fail, type Requirement, type Result } from './requirement.ts'
import { codes } from './requirements/codes.ts'
import { deviceAuthorization } from './requirements/device-authorization.ts'
import { discovery } from './requirements/discovery.ts'
import { metadataDocuments } from './requirements/metadata-documents.ts'
import { polling } from './requirements/polling.ts'
import { registration } from './requirements/registration.ts'
import { registrationManagement } from './requirements/registration-management.ts'
import { tokens } from './requirements/tokens.ts'
import { verification } from './requirements/verification.ts'
import type { Target } from './target.ts'

const requirements: Requirement[] = [
  ...discovery,
  ...deviceAuthorization,
  ...codes,
  ...verification,
  ...polling,
  ...tokens,
  ...registration,
  ...registrationManagement,
  ...metadataDocuments,
]

/** All at once: most of them wait. @throws BrokenRun if nobody can decide. */
export function checkAll(target: Target): Promise<Result[]> {
  return Promise.all(requirements.map(requirement => check(requirement, target)))
}

async function check({ check, ...about }: Requirement, target: Target): Promise<Result> {
  try {
    return { ...about, ...(await check(target)) }
  } catch (error) {
    if (error instanceof BrokenRun) throw error
    if (error instanceof Unchecked) return { ...about, outcome: error.outcome, seen: error.message }
    return { ...about, ...fail(`no answer, or one that cannot be read (${(error as Error).name})`) }
  }
}
