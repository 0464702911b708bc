// Runs what is added once the event loop has read what was waiting on every socket; many share one turn of it.

export class NextTurn {
  #waiting: (() => void)[] = []

  add(run: () => void): void {
    if (this.#waiting.push(run) === 1) setImmediate(this.#flush)
  }

  readonly #flush = (): void => {
    const waiting = this.#waiting
    this.#waiting = []
    for (const run of waiting) run()
  }
}
