// How much of the same a test does: little of it where every change waits for it, and much where LONG_TESTS=1 is set.

/** `few` rounds, bytes or seconds, or `many` when the long form is asked for. */
export function effort(few: number, many: number): number {
  return process.env['LONG_TESTS'] === '1' ? many : few
}
