/**
 * The format of a backup: gzipped lines of JSON. First a header; then for each table a line `{"table", "rows"}` and its
 * rows as PostgreSQL writes them in JSON; last `{"rows", "sha256"}` over all that precedes it. It is independent of the
 * kind and version of the database that it was made from.
 */
import { createHash } from 'node:crypto'
import {
  closeSync,
  constants,
  createReadStream,
  existsSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { createGunzip } from 'node:zlib'
import { z } from 'zod'
import { UsageError } from '../lib/errors.ts'
import { tryLock } from './lock.ts'

export const FORMAT = 'mcp-oauth-server backup'
const FORMAT_VERSION = 1
/** Uncompressed bytes that are written or handed on together. */
const CHUNK = 1024 * 1024
/** Rows that are handed on together. */
const MAX_ROWS = 1_000
/** Characters of a line; no row that a server stores comes near. A small file can unpack to a line of any length. */
const MAX_LINE = 64 * 1024 * 1024

/** What every version of the format begins with. Its texts are shown on a terminal. */
const beginningSchema = z.object({
  format: z.literal(FORMAT),
  formatVersion: z.number(),
  /** Of the program that made it. */
  program: z.string().regex(/^[\w.+-]{1,50}$/),
})
const headerSchema = beginningSchema.extend({
  formatVersion: z.literal(FORMAT_VERSION),
  createdAt: z.iso.datetime(),
  /** The migrations that the database had. */
  migrations: z.array(z.string().regex(/^\w{1,100}$/)),
  /** Of all tables. */
  rows: z.number(),
  /** Identifies AUTH_SECRET, with which keys and tokens of others are sealed. */
  secretCheck: z.string(),
  /** AUTH_SECRET itself, with `--with-secret`. */
  secret: z.string().optional(),
})
export type BackupHeader = z.output<typeof headerSchema>

export interface BackupWriter {
  /** @param text A line of JSON, without its end. */
  line(text: string): void
  /** Writes the checksum, syncs the file and gives it its name. */
  finish(rows: number): void
  /** Deletes what has been written. */
  discard(): void
}

/** Writes a backup, readable only by its owner; it has its name only once it is complete. @throws UsageError if there is such a file. */
export function createBackup(
  path: string,
  { secretCheck, ...header }: Omit<BackupHeader, 'format' | 'formatVersion'>,
): BackupWriter {
  const partial = `${path}.partial`
  const writing = <T>(work: () => T): T => {
    try {
      return work()
    } catch (error) {
      if (error instanceof UsageError) throw error
      // Such as `ENOSPC: no space left on device, write`.
      throw new UsageError(`${path} cannot be written (${(error as Error).message.split(',')[0]})`)
    }
  }
  const file = writing(() => openPartial(path, partial))
  let isOpen = true
  const hash = createHash('sha256')
  let waiting: string[] = []
  let size = 0
  const flush = () => {
    const bytes = Buffer.from(waiting.join(''))
    waiting = []
    size = 0
    hash.update(bytes)
    writing(() => writeAll(file, Bun.gzipSync(bytes)))
  }
  const line = (text: string) => {
    waiting.push(text, '\n')
    size += text.length
    if (size >= CHUNK) flush()
  }
  line(JSON.stringify({ format: FORMAT, formatVersion: FORMAT_VERSION, ...header, secretCheck }))
  return {
    line,
    finish(rows) {
      flush()
      writing(() => {
        writeAll(file, Bun.gzipSync(`${JSON.stringify({ rows, sha256: hash.digest('hex') })}\n`))
        fsyncSync(file)
        renameSync(partial, path)
        isOpen = false
        closeSync(file)
      })
    },
    discard() {
      if (!isOpen) return
      isOpen = false
      rmSync(partial, { force: true })
      closeSync(file)
    },
  }
}

/**
 * Opens the file of an unfinished backup, which a killed process may have left, and locks it where the file system can: whoever
 * has the lock has the name, until the file is renamed or removed.
 */
function openPartial(path: string, partial: string): number {
  const file = openSync(partial, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
  const refuse = (why: string): never => {
    closeSync(file)
    throw new UsageError(why)
  }
  const isNamed = () => statSync(partial, { throwIfNoEntry: false })?.ino === fstatSync(file).ino
  if (tryLock(file) === 'held' || !isNamed()) refuse(`Another backup to ${path} is being made; choose another name`)
  if (existsSync(path)) {
    rmSync(partial)
    refuse(`${path} exists already; choose another name`)
  }
  fchmodSync(file, 0o600)
  ftruncateSync(file)
  return file
}

/** A write to a full disk may be short before it fails. */
function writeAll(file: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written)
}

/**
 * Reads a backup in bounded memory.
 *
 * @param onRows Gets rows of one table, as JSON, and the number of their first line. The last ones may come before the
 * checksum has been verified.
 * @throws UsageError if it is not a backup, or damaged.
 */
export async function readBackup(
  path: string,
  onHeader: (header: BackupHeader) => void | Promise<void>,
  onRows: (table: string, rows: string[], line: number) => void | Promise<void>,
): Promise<void> {
  const hash = createHash('sha256')
  let header: BackupHeader | undefined
  let table = ''
  let left = 0
  let total = 0
  let rows: string[] = []
  let size = 0
  let number = 0
  let end: { rows: number; sha256: string } | undefined
  const handOn = async () => {
    if (rows.length > 0) await onRows(table, rows, number - rows.length + 1)
    rows = []
    size = 0
  }
  for await (const line of linesOf(path)) {
    number += 1
    if (end) throw damaged(path)
    if (left > 0) {
      rows.push(line)
      size += line.length
      left -= 1
      total += 1
      if (left === 0 || rows.length >= MAX_ROWS || size >= CHUNK) await handOn()
    } else if (!header) {
      header = headerOf(path, line)
      await onHeader(header)
    } else {
      const next = objectOf(line)
      if (!next) throw damaged(path, `line ${number} is not a JSON object`)
      if (typeof next.table === 'string' && /^\w+$/.test(next.table)) {
        table = next.table
        left = Number(next.rows)
      } else end = { rows: Number(next.rows), sha256: String(next.sha256) }
    }
    if (!end) hash.update(line).update('\n')
  }
  if (!end || end.rows !== total || end.sha256 !== hash.digest('hex')) throw damaged(path)
}

async function* linesOf(path: string): AsyncGenerator<string> {
  const file = createReadStream(path)
  const plain = createGunzip()
  file.on('error', error => plain.destroy(error)).pipe(plain)
  const decoder = new TextDecoder()
  /** The pieces of a line whose end has not been read. */
  let begun: string[] = []
  let size = 0
  try {
    for await (const chunk of plain) {
      const [piece = '', ...more] = decoder.decode(chunk as Buffer, { stream: true }).split('\n')
      begun.push(piece)
      size += piece.length
      if (size > MAX_LINE) throw damaged(path, 'it has a line that is too long')
      if (more.length === 0) continue
      yield begun.join('')
      begun = [more.pop()!]
      size = begun[0]!.length
      yield* more
    }
  } catch (error) {
    const { code } = error as { code?: string }
    if (code?.startsWith('Z_')) throw damaged(path)
    throw code ? new UsageError(`${path} cannot be read (${code})`) : error
  }
  if (size > 0) throw damaged(path)
}

function headerOf(path: string, line: string): BackupHeader {
  const first = objectOf(line)
  const beginning = beginningSchema.safeParse(first).data
  if (!beginning) throw new UsageError(`${path} is not a backup of this program`)
  if (beginning.formatVersion !== FORMAT_VERSION)
    throw new UsageError(
      `${path} was made by mcp-oauth-server ${beginning.program}, in a format that this version does not know`,
    )
  const header = headerSchema.safeParse(first).data
  if (!header) throw damaged(path, 'its first line is wrong')
  return header
}

/** What a line holds; undefined if it is not a JSON object. */
export function objectOf(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

export function damaged(path: string, why = 'its checksum is wrong'): UsageError {
  return new UsageError(`${path} is damaged or not a backup: ${why}. Nothing was changed.`)
}
