/** Preloaded into the server: at SIGUSR2 it collects garbage and writes what is left to the file MEMORY_FILE. */

import { heapStats } from 'bun:jsc'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'

export interface Memory {
  /** Bytes of objects, with what they hold outside of the heap. */
  heap: number
  /** Bytes of the process that are no file's. */
  resident: number
}

process.on('SIGUSR2', async () => {
  for (let times = 0; times < 3; times++) {
    Bun.gc(true)
    await Bun.sleep(50) // until what was freed goes back to the system
  }
  const [, kilobytes] = /Anonymous:\s+(\d+)/.exec(readFileSync('/proc/self/smaps_rollup', 'utf8')) ?? []
  const memory: Memory = { heap: heapStats().heapSize, resident: Number(kilobytes) * 1024 }
  const file = process.env.MEMORY_FILE!
  writeFileSync(`${file}.partial`, JSON.stringify(memory))
  renameSync(`${file}.partial`, file)
})
