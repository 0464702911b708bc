// The few statistics of the benchmarks: medians and extremes over rounds, ratios round by round.

export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** The middle value; of an even count the mean of the two in the middle; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const high = sorted[sorted.length >> 1] ?? NaN
  const low = sorted[(sorted.length - 1) >> 1] ?? NaN
  return (low + high) / 2
}

export function summary(values: readonly number[]): Summary {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

/**
 * Median of the quotients round by round, which cancels what moved both in a round; NaN when the two have
 * no round in common. A round that gave no figure is `undefined`.
 */
export function ratio(ours: readonly (number | undefined)[], theirs: readonly (number | undefined)[]): number {
  const quotients: number[] = []
  for (const [round, value] of ours.entries()) {
    const other = theirs[round]
    if (value !== undefined && other !== undefined && other > 0) quotients.push(value / other)
  }
  return median(quotients)
}
