/** The secret that the embedded database makes for itself, in its data directory. */

import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, lstatSync, openSync, readFileSync, writeSync } from 'node:fs'
import { resolve } from 'node:path'
import { UsageError } from './lib/errors.ts'

/** Where the generated secret is. */
export function authSecretPath(dataDir: string): string {
  return resolve(dataDir, 'auth-secret')
}

/**
 * Reads the secret, and makes it where nothing depends on one yet.
 *
 * @param isNew Whether the database has nothing that is sealed with a secret.
 * @throws UsageError if the secret is gone or cannot be used: a new one would lock everybody out.
 */
export function readAuthSecret(dataDir: string, isNew: boolean): string {
  const path = authSecretPath(dataDir)
  if (isNew && !isThere(path)) generate(path)
  let secret: string
  try {
    secret = readFileSync(path, 'utf8').trim()
  } catch (error) {
    if (!isThere(path)) {
      throw new UsageError(
        `${path} is missing, but the database beside it was begun with that secret: restore the file from a backup, or set AUTH_SECRET to what it held. If it is lost, move DATA_DIR away to begin anew.`,
      )
    }
    const { code } = error as { code?: string }
    throw new UsageError(
      `${path} cannot be read (${code}); it must be a file with the secret, readable by the user who runs the server`,
    )
  }
  if (secret.length < 32) {
    throw new UsageError(
      `${path} holds no secret of at least 32 characters; restore it from a backup${isNew ? ', or remove it to have a new one made' : ''}`,
    )
  }
  return secret
}

/** Whether anything has that name, a link that leads nowhere included. */
function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

/** On the disk before anything is sealed with it. */
function generate(path: string): void {
  const descriptor = openSync(path, 'wx', 0o600)
  try {
    writeSync(descriptor, randomBytes(48).toString('base64url'))
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
