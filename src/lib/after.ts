/**
 * Values that are mostly there already: only otherwise there is a promise, because each one on the way of a request costs
 * more than most of its steps.
 */

/** Goes on with a value, at once if it is there. */
export function after<T, R>(value: T | Promise<T>, next: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(next) : next(value)
}

/** A value that is settled once, before or after it is taken. */
export function openOutcome<T extends object>() {
  let value: T | undefined
  let resolve: ((value: T) => void) | undefined
  return {
    settle(settled: T) {
      value = settled
      resolve?.(settled)
    },
    take: (): T | Promise<T> =>
      value ??
      new Promise<T>(settle => {
        resolve = settle
      }),
  }
}
