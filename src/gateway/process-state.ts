/** Process state from /proc on Linux. On other systems nothing is known, so orphans are not ended. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** Identifies the space in which pids are unique: this boot of the machine and this pid namespace. */
export function pidSpace(): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return `${boot} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return undefined
  }
}

export interface ProcessState {
  /** In clock ticks since boot; unique together with the pid. */
  startedAt: string
  group: number
}

/** The running process with this pid; undefined if there is none or it is a zombie. proc_pid_stat(5): fields 5 and 22; the name may contain spaces and parentheses. */
export function processState(pid: number): ProcessState | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const [startedAt, group] = [fields[19], Number(fields[2])]
    return startedAt && fields[0] !== 'Z' ? { startedAt, group } : undefined
  } catch {
    return undefined
  }
}

/** Whether any process of the group runs; undefined without /proc. Scans all processes. */
export function groupRuns(group: number): boolean | undefined {
  try {
    return readdirSync('/proc').some(name => /^\d+$/.test(name) && processState(Number(name))?.group === group)
  } catch {
    return undefined
  }
}
