/** Ends a process together with its descendants. */
import { groupRuns, processState } from './process-state.ts'

/** Duration of each step, and polling interval; milliseconds. */
const GRACE = 2000
const POLL = 20

/**
 * Whether any process of the group runs. Zombies keep the group alive, in a container without init forever; they do not
 * count where /proc tells them apart.
 */
function groupLives(pid: number): boolean {
  try {
    process.kill(-pid, 0)
  } catch (error) {
    // EPERM: there is a process that we may not signal, such as a program that changed its user.
    if ((error as { code?: string }).code !== 'EPERM') return false
  }
  return processState(pid) !== undefined || (groupRuns(pid) ?? true)
}

/**
 * Ends a process group in steps: closes the input, sends SIGTERM, then SIGKILL, waiting after each.
 *
 * @param options.closeInput First step, if given: the regular way to stop an MCP server.
 * @param options.grace Duration of each step in milliseconds; default 2,000.
 * @returns whether the group is gone.
 */
export async function endGroup(
  pid: number,
  options: { grace?: number; closeInput?: () => void } = {},
): Promise<boolean> {
  const { grace = GRACE, closeInput } = options
  if (closeInput) {
    closeInput()
    if (await isGone(pid, grace)) return true
  }
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    signalGroup(pid, signal)
    if (await isGone(pid, grace)) return true
  }
  return false
}

async function isGone(pid: number, ms: number): Promise<boolean> {
  for (const end = performance.now() + ms; performance.now() < end; ) {
    if (!groupLives(pid)) return true
    await new Promise(resolve => setTimeout(resolve, POLL))
  }
  return !groupLives(pid)
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch (error) {
    // It has just ended, or we may not signal it; the caller checks again.
    if (!['ESRCH', 'EPERM'].includes((error as { code?: string }).code ?? '')) throw error
  }
}
