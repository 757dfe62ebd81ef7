/** The generated AUTH_SECRET in the data directory, for the embedded database. */

import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, lstatSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { resolve } from 'node:path'
import { deriveKey } from './lib/crypto.ts'
import { UsageError } from './lib/errors.ts'

/** The path of the generated secret. */
export function authSecretPath(dataDir: string): string {
  return resolve(dataDir, 'auth-secret')
}

/**
 * Reads the secret, and generates it if nothing depends on one yet.
 *
 * @param isNew Whether nothing in the database is sealed with a secret yet.
 * @throws UsageError if the secret is missing or unusable: with a new one, existing keys could not be opened.
 */
export function readAuthSecret(dataDir: string, isNew: boolean): string {
  const path = authSecretPath(dataDir)
  if (isNew && !isThere(path)) write(path, randomBytes(48).toString('base64url'))
  let secret: string
  try {
    secret = readFileSync(path, 'utf8').trim()
  } catch (error) {
    if (!isThere(path)) {
      throw new UsageError(
        `${path} is missing, but the database beside it was created with that secret: restore the file from a backup, or set AUTH_SECRET to its content. If it is lost, move DATA_DIR away to start over.`,
      )
    }
    const { code } = error as { code?: string }
    throw new UsageError(
      `${path} cannot be read (${code}); it must be a file with the secret, readable by the user who runs the server`,
    )
  }
  if (secret.length < 32) {
    throw new UsageError(
      `${path} does not contain a secret of at least 32 characters; restore it from a backup${isNew ? ', or delete it to generate a new one' : ''}`,
    )
  }
  return secret
}

/** Whether anything has that name, including a dangling link. */
function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

/** Identifies a secret in a backup, without giving it away. */
export function secretCheckOf(secret: string): string {
  return deriveKey(secret, 'backup check').toString('base64url')
}

/**
 * Puts the secret of a backup in place once `work` has been done; another one that is there gets the ending `.old`. It is
 * written before: a full disk must not leave a database without its secret.
 *
 * @param work Returns whether it has been done.
 */
export async function replaceAuthSecret(
  dataDir: string,
  secret: string,
  work: () => Promise<boolean>,
): Promise<boolean> {
  const path = authSecretPath(dataDir)
  const written = `${path}.new`
  rmSync(written, { force: true })
  write(written, secret)
  try {
    if (!(await work())) return false
    if (isThere(path)) renameSync(path, `${path}.old`)
    renameSync(written, path)
    return true
  } finally {
    rmSync(written, { force: true })
  }
}

/** Writes a secret and syncs it to disk before anything is sealed with it. */
function write(path: string, secret: string): void {
  const descriptor = openSync(path, 'wx', 0o600)
  try {
    writeSync(descriptor, secret)
    fsyncSync(descriptor)
  } catch (error) {
    rmSync(path, { force: true }) // on a full disk an empty file would be left
    throw error
  } finally {
    closeSync(descriptor)
  }
}
