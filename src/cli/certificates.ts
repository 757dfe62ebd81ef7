/** Certificates of CAs that a user trusts beside the public ones. */
import { readFileSync } from 'node:fs'
import { UsageError } from '../lib/errors.ts'

/** @returns the content of the file. */
export function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`The certificate ${file} cannot be read (${(error as { code?: string }).code})`)
  }
}
