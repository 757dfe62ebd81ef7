/** Everything that is checked, in the order of the report. */
import type { Requirement } from './requirement.ts'
import { codes } from './requirements/codes.ts'
import { deviceAuthorization } from './requirements/device-authorization.ts'
import { discovery } from './requirements/discovery.ts'
import { metadataDocuments } from './requirements/metadata-documents.ts'
import { polling } from './requirements/polling.ts'
import { registration } from './requirements/registration.ts'
import { registrationManagement } from './requirements/registration-management.ts'
import { tokens } from './requirements/tokens.ts'
import { verification } from './requirements/verification.ts'

export const requirements: Requirement[] = [
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
