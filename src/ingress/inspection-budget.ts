// How much memory bodies may take that are read before they are forwarded, of all exchanges together. It must never
// make one wait for another: what does not fit is refused, and may come again.

export class InspectionBudget {
  readonly #bytes: number
  #taken = 0

  constructor(bytes: number) {
    this.#bytes = bytes
  }

  /** bytes that are held now */
  get taken(): number {
    return this.#taken
  }

  /** Takes room for so many bytes more; false: there is none, and nothing was taken. */
  take(bytes: number): boolean {
    if (this.#taken + bytes > this.#bytes) return false
    this.#taken += bytes
    return true
  }

  give(bytes: number): void {
    this.#taken = Math.max(0, this.#taken - bytes)
  }
}
