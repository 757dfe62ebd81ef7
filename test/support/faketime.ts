/** Debian's libfaketime: a false clock for one process, which a test may set while the process runs. */
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const lib = readdirSync('/usr/lib')
  .map(name => `/usr/lib/${name}/faketime/libfaketime.so.1`)
  .find(path => Bun.file(path).size > 0)

export interface FalseClock {
  /** What the process needs in its environment. Its monotonic clock stays right, as when an operator sets the time. */
  env: Record<string, string>
  /** Sets the clock to so many seconds from the true time. */
  set(seconds: number): void
}

export function falseClock(seconds: number): FalseClock {
  if (!lib) throw new Error('libfaketime is not installed; on Debian: apt-get install faketime')
  const path = join(mkdtempSync(join(tmpdir(), 'mcp-oauth-clock-')), 'offset')
  const set = (offset: number) => writeFileSync(path, `${offset < 0 ? '' : '+'}${offset}s\n`)
  set(seconds)
  return {
    set,
    env: {
      LD_PRELOAD: lib,
      FAKETIME_TIMESTAMP_FILE: path,
      FAKETIME_NO_CACHE: '1',
      DONT_FAKE_MONOTONIC: '1',
    },
  }
}
