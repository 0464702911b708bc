// Who wants to hear that something changed: live screens, and callers that wait for one approval. It carries
// no data; whoever hears of a change looks for what he may see.
export interface Change {
  readonly kind: 'approval' | 'grant' | 'proposal'
  readonly id: string
}

export class Changes {
  readonly #listeners = new Set<(change: Change) => void>()

  on(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  tell(kind: Change['kind'], id: string): void {
    for (const listener of [...this.#listeners]) listener({ kind, id })
  }

  /** Resolves at the next change of `id`, after `ms`, or when `signal` aborts. */
  next(id: string, ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve()
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer)
        off()
        signal?.removeEventListener('abort', finish)
        resolve()
      }
      signal?.addEventListener('abort', finish)
      const timer = setTimeout(finish, ms)
      const off = this.on((change) => {
        if (change.id === id) finish()
      })
    })
  }
}
