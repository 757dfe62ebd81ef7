/** Waits for what a test is about to look at. It has a minute, so that a busy machine is no failure. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 60_000; !(await condition()); await Bun.sleep(10)) {
    if (performance.now() > end) throw new Error(`it was not so within a minute: ${condition}`)
  }
}
