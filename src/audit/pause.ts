// Waiting that can be cut short, and then ends like any other.

/** Resolves after `ms`, or as soon as `signal` is aborted. A signal that was aborted before cuts nothing short. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
  })
}
