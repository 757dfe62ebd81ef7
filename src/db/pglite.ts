import fs, { existsSync } from 'node:fs'
import { open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { NodeFS } from '@electric-sql/pglite/nodefs'
// PGlite looks for these files next to its source, which a compiled binary does not have, so they are embedded by path.
import filesPath from '../../node_modules/@electric-sql/pglite/dist/pglite.data' with { type: 'file' }
import wasmPath from '../../node_modules/@electric-sql/pglite/dist/pglite.wasm' with { type: 'file' }
// initdb takes seconds; its result, an empty cluster, takes 0.1 s to unpack.
import emptyClusterPath from '../../node_modules/@electric-sql/pglite-prepopulatedfs/dist/prepopulatedfs.tgz' with {
  type: 'file',
}
import { syncFileSystem } from './sync.ts'
import { serveWireProtocol } from './wire-server.ts'

/** PGlite's default start parameters, without `-F` (which turns fsync off). */
const START_PARAMS = [
  '--single',
  '-O',
  '-j',
  ...['search_path=public', 'exit_on_error=false', 'log_checkpoints=false', 'io_method=sync'].flatMap(setting => [
    '-c',
    setting,
  ]),
  ...[
    'max_worker_processes=0',
    'max_parallel_workers=0',
    'max_parallel_workers_per_gather=0',
    'max_parallel_maintenance_workers=0',
  ].flatMap(setting => ['-c', setting]),
  // By default 160 MB, all of it touched at the start. What the database reads is in the kernel's cache as well.
  ...['-c', 'shared_buffers=16MB'],
  // How much write-ahead log a checkpoint (upkeep.ts) keeps for reuse; by default 1 GB.
  ...['-c', 'min_wal_size=32MB', '-c', 'max_wal_size=64MB'],
  // Of the sync methods, fsync() is the one that reaches the file system layer below.
  ...['-c', 'fsync=on', '-c', 'wal_sync_method=fsync'],
]

/**
 * PGlite's directory file system, with a working fsync. As shipped, nothing is ever synced: PGlite starts PostgreSQL with
 * `-F`, and even with `fsync=on` the calls end in emscripten's NODEFS, which has no fsync. A killed process would lose
 * nothing, since its writes have reached the kernel, but a power failure would lose acknowledged commits and possibly the
 * cluster. With the operation below and `wal_sync_method=fsync`, strace shows one fdatasync per commit and none for a
 * read; 200 single inserts took 165 to 188 ms instead of 75 on an SSD.
 */
class DurableNodeFS extends NodeFS {
  /** @param isSynced Whether all files are durable, so that a sync does nothing until something is written. */
  constructor(
    dir: string,
    private isSynced: boolean,
  ) {
    super(dir)
  }

  override async init(...args: Parameters<NodeFS['init']>): ReturnType<NodeFS['init']> {
    const { emscriptenOpts } = await super.init(...args)
    const sync = (module: unknown) => {
      const { stream_ops: operations } = (module as { NODEFS: { stream_ops: StreamOperations } }).NODEFS
      const { write } = operations
      operations.write = (stream, ...bytes) => {
        if (!stream.path.endsWith('/postmaster.pid')) {
          // written first, before the syncs that a start begins with
          this.isSynced = false
          operations.write = write
        }
        return write(stream, ...bytes)
      }
      operations.fsync = stream => {
        if (!this.isSynced) fs.fdatasyncSync(stream.nfd)
        return 0
      }
    }
    return { emscriptenOpts: { ...emscriptenOpts, preRun: [...(emscriptenOpts.preRun ?? []), sync] } }
  }
}

/** Of emscripten's files. */
interface StreamOperations {
  write(stream: Stream, ...bytes: unknown[]): number
  fsync?(stream: Stream): number
}

interface Stream {
  nfd: number
  path: string
}

/**
 * Makes everything durable that a killed process wrote. PostgreSQL starts with that after a crash, in its own way: it syncs
 * each of 1,200 files, which takes seconds on a busy disk. One call does the same.
 *
 * @returns false if there was no crash, or the system has no such call.
 */
function syncAfterCrash(cluster: string): boolean {
  return existsSync(join(cluster, 'postmaster.pid')) && syncFileSystem(cluster)
}

/** The compiled PostgreSQL module, shared by all databases of a process; each has its own memory. */
let compiled: Promise<WebAssembly.Module> | undefined

/**
 * Opens the embedded PostgreSQL in `dir/postgres` (created on the first start) and serves it on the Unix socket `socket`.
 * The caller must hold the data directory's lock.
 */
export async function openPglite(dir: string, socket: string): Promise<{ close(): Promise<void> }> {
  const cluster = join(dir, 'postgres')
  if (!existsSync(cluster)) await unpackEmptyCluster(cluster)
  compiled ??= Bun.file(wasmPath).arrayBuffer().then(WebAssembly.compile)
  const [wasm, files] = await Promise.all([compiled, Bun.file(filesPath).arrayBuffer()])
  const db = await PGlite.create({
    fs: new DurableNodeFS(cluster, syncAfterCrash(cluster)),
    pgliteWasmModule: wasm,
    fsBundle: new Blob([files]),
    startParams: START_PARAMS,
  })
  await rm(socket, { force: true }) // left by a killed process; we hold the lock, so nothing serves it
  const server = await serveWireProtocol(db, socket)
  return {
    async close() {
      await server.close()
      await db.close()
    },
  }
}

/**
 * Unpacks into a temporary directory and renames it, so that a crash halfway does not leave a partial cluster. Everything
 * is synced first, with one call where there is one: durable commits are worthless in a cluster that is not durable.
 */
async function unpackEmptyCluster(cluster: string): Promise<void> {
  const partial = `${cluster}.partial`
  await rm(partial, { recursive: true, force: true })
  await new Bun.Archive(await Bun.file(emptyClusterPath).bytes()).extract(partial)
  if (!syncFileSystem(partial)) {
    const names = await readdir(partial, { recursive: true })
    await Promise.all([partial, ...names.map(name => join(partial, name))].map(sync))
  }
  await rename(partial, cluster)
  await sync(dirname(cluster))
}

async function sync(path: string): Promise<void> {
  const handle = await open(path)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
