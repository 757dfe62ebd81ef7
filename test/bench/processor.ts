/** Time of the processor, which says more than requests a second: a machine that is busy with other work hardly changes it. */
import { readdirSync, readFileSync } from 'node:fs'

/** Linux counts in these, whatever the kernel's own clock. */
const TICKS_PER_SECOND = 100

/** The fields of /proc/PID/stat after the name, which may contain spaces. */
function statOf(pid: number | string): string[] {
  return readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
}

/** @returns seconds of the processor that a process has had, all threads together. */
export function cpuOf(pid: number): number {
  const fields = statOf(pid)
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** The same for a process and its children, such as PostgreSQL's backends; those that have ended count, too. */
export function cpuOfFamily(pid: number): number {
  const [, , , , , , , , , , , user, system, endedUser, endedSystem] = statOf(pid)
  const ticks = [user, system, endedUser, endedSystem].reduce((sum, value) => sum + Number(value), 0)
  const processes = readdirSync('/proc').filter(name => /^\d+$/.test(name))
  return ticks / TICKS_PER_SECOND + processes.reduce((sum, child) => sum + timeOfChild(child, pid), 0)
}

/** @returns 0 for another process's child, and for one that has ended meanwhile. */
function timeOfChild(pid: string, of: number): number {
  try {
    return Number(statOf(pid)[1]) === of ? cpuOf(Number(pid)) : 0
  } catch {
    return 0
  }
}

/** Resident memory of a process, in MB. */
export function memoryOf(pid: number): number {
  const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) / 1024
}
