// The one clock seam: everything that needs time is handed a Clock, so tests can stand still.

export interface Clock {
  /** wall clock, `ms` since the Unix epoch; for events and expiry dates */
  now(): number
  /** monotonic, `ms`; for durations and time-outs, unmoved by clock jumps */
  monotonic(): number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}
