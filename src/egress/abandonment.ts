// The word that the client is gone, for whoever works on its behalf: one listener at a time and nothing
// else, because an AbortController costs each tunnel more than its policy decision does.

export class Abandonment {
  #isAbandoned = false
  #listener: (() => void) | undefined

  get isAbandoned(): boolean {
    return this.#isAbandoned
  }

  abandon(): void {
    if (this.#isAbandoned) return
    this.#isAbandoned = true
    this.#listener?.()
  }

  /** Replaces the listener; undefined takes it away. */
  listen(listener: (() => void) | undefined): void {
    this.#listener = listener
  }

  /** For what takes an AbortSignal. The listener is taken. */
  toSignal(): AbortSignal {
    const controller = new AbortController()
    if (this.#isAbandoned) controller.abort()
    this.listen(() => controller.abort())
    return controller.signal
  }
}
