/** What Linux says about processes. Elsewhere nothing is known, and nothing is ended that we did not start ourselves. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** Where pids mean what they mean to us: this boot of the machine, this pid namespace. */
export function pidSpace(): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return `${boot} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return undefined
  }
}

export interface ProcessState {
  /** In clock ticks since the machine was started; together with the pid it names one process for good. */
  startedAt: string
  group: number
}

/** The process that runs under this pid now; undefined if none does or it only waits to be reaped. proc_pid_stat(5): fields 5 and 22; a name may hold spaces and brackets. */
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

/** Whether a process of the group still runs; undefined where /proc is not. Looks at every process there is. */
export function groupRuns(group: number): boolean | undefined {
  try {
    return readdirSync('/proc').some(name => /^\d+$/.test(name) && processState(Number(name))?.group === group)
  } catch {
    return undefined
  }
}
