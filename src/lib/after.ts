/**
 * Goes on with a value: at once if it is there already, because each promise on the way of a request costs more than most
 * of its steps.
 */
export function after<T, R>(value: T | Promise<T>, next: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(next) : next(value)
}
