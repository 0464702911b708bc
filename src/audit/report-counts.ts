// Counting for the report: verdicts by whatever they are grouped by, in bounded memory. Pure.

export interface Counts {
  /** passed, and no later step refused it */
  readonly allowed: number
  /** policy asked about it, whatever the answer was */
  readonly asked: number
  readonly denied: number
  readonly bytesFromClient: number
  readonly bytesFromOrigin: number
}

export interface Ranked extends Counts {
  readonly name: string
}

export type Counted = { -readonly [name in keyof Counts]: number }

export function noCounts(): Counted {
  return { allowed: 0, asked: 0, denied: 0, bytesFromClient: 0, bytesFromOrigin: 0 }
}

/** Decisions of all three kinds. */
export function totalOf({ allowed, asked, denied }: Counts): number {
  return allowed + asked + denied
}

/** Names beyond `limit` are counted together. */
export class Groups {
  readonly #limit: number
  readonly #groups = new Map<string, Counted>()
  #others: Counted | undefined

  constructor(limit: number) {
    this.#limit = limit
  }

  of(name: string): Counted {
    const known = this.#groups.get(name)
    if (known !== undefined) return known
    if (this.#groups.size >= this.#limit) return (this.#others ??= noCounts())
    const made = noCounts()
    this.#groups.set(name, made)
    return made
  }

  /** The busiest first; what was counted together comes last, as `others`. */
  ranked(): readonly Ranked[] {
    const ranked = [...this.#groups].map(([name, counts]) => ({ name, ...counts })).toSorted((a, b) => totalOf(b) - totalOf(a) || (a.name < b.name ? -1 : 1))
    return this.#others === undefined ? ranked : [...ranked, { name: 'others', ...this.#others }]
  }
}

/** How often each of some names came up; names beyond `limit` are counted together. */
export class Frequencies {
  readonly #limit: number
  readonly #counts = new Map<string, number>()

  constructor(limit: number) {
    this.#limit = limit
  }

  add(name: string): void {
    const key = this.#counts.has(name) || this.#counts.size < this.#limit ? name : 'others'
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
  }

  /** The most frequent first. */
  ranked(): readonly { readonly name: string; readonly count: number }[] {
    return [...this.#counts].map(([name, count]) => ({ name, count })).toSorted((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1))
  }
}

/** Lengths of time; shares are those of the first `limit` of them. */
export class Durations {
  readonly #limit: number
  readonly #kept: number[] = []
  #seen = 0
  #longest = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  add(ms: number): void {
    this.#longest = Math.max(this.#longest, ms)
    this.#seen += 1
    if (this.#kept.length < this.#limit) this.#kept.push(ms)
  }

  get count(): number {
    return this.#seen
  }

  get longestMs(): number {
    return this.#longest
  }

  /** `share` of them are no longer than this; undefined where there are none. */
  quantile(share: number): number | undefined {
    const sorted = this.#kept.toSorted((a, b) => a - b)
    return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))]
  }

  /** How many are below each bound, and not below the one before; the last is for what is beyond all. */
  below(bounds: readonly number[]): readonly number[] {
    const counts = Array.from({ length: bounds.length + 1 }, () => 0)
    for (const ms of this.#kept) {
      const at = bounds.findIndex((bound) => ms < bound)
      counts[at === -1 ? bounds.length : at] = (counts[at === -1 ? bounds.length : at] ?? 0) + 1
    }
    return counts
  }
}
