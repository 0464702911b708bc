// What test fixtures need of a test: something to hang their end on. A script has none, so it opens a scope.

export interface Scope {
  teardown(fn: () => unknown): unknown
}

/** Runs `work` and then everything it left to take down, last first. */
export async function withScope<T>(work: (scope: Scope) => Promise<T>): Promise<T> {
  const endings: (() => unknown)[] = []
  try {
    return await work({ teardown: (fn) => endings.push(fn) })
  } finally {
    for (const ending of endings.toReversed()) await ending()
  }
}
