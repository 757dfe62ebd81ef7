/** A process and all that it started, ended as a whole. */
import { groupRuns, processState } from './process-state.ts'

/** How long each step may take, and how often we look whether it is over; milliseconds. */
const GRACE = 2000
const GLANCE = 20

/**
 * Whether a process of the group runs. What has ended but was not reaped keeps the group in being, in a container
 * without init for good; it does not count where we can tell.
 */
function groupLives(pid: number): boolean {
  try {
    process.kill(-pid, 0)
  } catch (error) {
    // EPERM: somebody is there whom we must not touch, such as a program that changed its user.
    if ((error as { code?: string }).code !== 'EPERM') return false
  }
  return processState(pid) !== undefined || (groupRuns(pid) ?? true)
}

/**
 * Asks the group to end, then makes it: SIGTERM, SIGKILL, each after the one before had its time.
 *
 * @param options.closeInput Called first, with a time of its own: the way in which an MCP server is told to end.
 * @param options.grace The time of each step in milliseconds: 2,000.
 * @returns Whether it is gone.
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
    await new Promise(resolve => setTimeout(resolve, GLANCE))
  }
  return !groupLives(pid)
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch (error) {
    // It ended since we looked, or is not ours to signal; whoever called looks again.
    if (!['ESRCH', 'EPERM'].includes((error as { code?: string }).code ?? '')) throw error
  }
}
