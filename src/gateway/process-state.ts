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
  session: number
}

/** The running process with this pid; undefined if there is none or it is a zombie. proc_pid_stat(5): fields 5, 6 and 22; the name may contain spaces and parentheses. */
export function processState(pid: number): ProcessState | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const [startedAt, group, session] = [fields[19], Number(fields[2]), Number(fields[3])]
    return startedAt && fields[0] !== 'Z' ? { startedAt, group, session } : undefined
  } catch {
    return undefined
  }
}

/** Whether any process of the group runs; undefined without /proc. */
export function groupRuns(group: number): boolean | undefined {
  return runningProcesses()?.some(state => state.group === group)
}

/** All running processes; undefined without /proc. */
export function runningProcesses(): ProcessState[] | undefined {
  try {
    return readdirSync('/proc').flatMap(name => (/^\d+$/.test(name) ? (processState(Number(name)) ?? []) : []))
  } catch {
    return undefined
  }
}

/** The time since boot in the clock ticks of {@link ProcessState.startedAt}: USER_HZ, 100 a second. */
export function ticksSinceBoot(): number {
  return Math.floor(Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]) * 100)
}
