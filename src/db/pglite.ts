import fs, { existsSync } from 'node:fs'
import { open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { NodeFS } from '@electric-sql/pglite/nodefs'
// PGlite finds these beside its own source; a compiled binary has no such place, so they are embedded by path.
import filesPath from '../../node_modules/@electric-sql/pglite/dist/pglite.data' with { type: 'file' }
import wasmPath from '../../node_modules/@electric-sql/pglite/dist/pglite.wasm' with { type: 'file' }
// initdb takes seconds; its result, an empty cluster, takes 0.1 s to unpack.
import emptyClusterPath from '../../node_modules/@electric-sql/pglite-prepopulatedfs/dist/prepopulatedfs.tgz' with {
  type: 'file',
}
import { serveWireProtocol } from './wire-server.ts'

/** What PGlite starts PostgreSQL with, less `-F` (which turns fsync off). */
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
  // Of the ways to sync the log, fsync() is the one that reaches the file system layer below.
  ...['-c', 'fsync=on', '-c', 'wal_sync_method=fsync'],
]

/**
 * PGlite's directory file system, with an fsync that syncs. As shipped nothing is ever synced: PGlite starts PostgreSQL
 * with `-F`, and without it (`fsync=on`) the calls still end in emscripten's NODEFS, which has no fsync. A killed process
 * loses nothing then, because its writes are the kernel's by that time, but a machine that loses power loses acknowledged
 * commits and possibly the cluster. With the operation below and `wal_sync_method=fsync`, strace shows one fdatasync a
 * commit and none for a read; 200 single inserts took 165 to 188 ms instead of 75 on an SSD.
 */
class DurableNodeFS extends NodeFS {
  override async init(...args: Parameters<NodeFS['init']>): ReturnType<NodeFS['init']> {
    const { emscriptenOpts } = await super.init(...args)
    const sync = (module: unknown) => {
      const { NODEFS } = module as { NODEFS: { stream_ops: { fsync?: (stream: { nfd: number }) => number } } }
      NODEFS.stream_ops.fsync = stream => {
        fs.fdatasyncSync(stream.nfd)
        return 0
      }
    }
    return { emscriptenOpts: { ...emscriptenOpts, preRun: [...(emscriptenOpts.preRun ?? []), sync] } }
  }
}

/** PostgreSQL's code, which all databases of a process share: they have their own memory. */
let compiled: Promise<WebAssembly.Module> | undefined

/**
 * Opens the embedded PostgreSQL in `dir/postgres` (made on the first start) and serves it on the Unix socket `socket`.
 * The caller holds the data directory's lock.
 */
export async function openPglite(dir: string, socket: string): Promise<{ close(): Promise<void> }> {
  const cluster = join(dir, 'postgres')
  if (!existsSync(cluster)) await unpackEmptyCluster(cluster)
  compiled ??= Bun.file(wasmPath).arrayBuffer().then(WebAssembly.compile)
  const [wasm, files] = await Promise.all([compiled, Bun.file(filesPath).arrayBuffer()])
  const db = await PGlite.create({
    fs: new DurableNodeFS(cluster),
    pgliteWasmModule: wasm,
    fsBundle: new Blob([files]),
    startParams: START_PARAMS,
  })
  await rm(socket, { force: true }) // left behind by a killed process; the lock says that nobody serves it
  const server = await serveWireProtocol(db, socket)
  return {
    async close() {
      await server.close()
      await db.close()
    },
  }
}

/**
 * Unpacks beside the final place and renames, so that a crash half way leaves nothing that looks like a cluster. All of it
 * is synced first: commits that are safe in the log are worth nothing on a cluster that is not.
 */
async function unpackEmptyCluster(cluster: string): Promise<void> {
  const partial = `${cluster}.partial`
  await rm(partial, { recursive: true, force: true })
  await new Bun.Archive(await Bun.file(emptyClusterPath).bytes()).extract(partial)
  const names = await readdir(partial, { recursive: true })
  await Promise.all([partial, ...names.map(name => join(partial, name))].map(sync))
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
