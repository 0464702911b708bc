// Globs over names, matched in time that grows with glob times text and no faster: whoever may read the journal chooses
// the glob, and an agent chooses the text, so nothing here may backtrack. Pure. `*` any text, `?` one character, `[…]` one
// of these, `{a,b}` either, `\` before what stands for itself, `!` in front for all others. Case does not count.

/** One character of the text (UTF-16), and where it leads; a fork leads on without one. */
type State =
  | { readonly takes: (unit: string) => boolean; readonly next: number }
  | { readonly takes: undefined; readonly next: number; readonly forks: readonly number[] }

const end = -1

/** The test that a glob stands for. */
export function compileGlob(glob: string): (value: string) => boolean {
  const [bangs = ''] = /^!*/.exec(glob) ?? []
  const program = new Program(glob.slice(bangs.length).toLowerCase())
  const isNegated = bangs.length % 2 === 1
  return (value) => program.matches(value.toLowerCase()) !== isNegated
}

class Program {
  readonly #text: string
  readonly #states: State[] = []
  readonly #start: number
  /** the turn in which each state was reached last; that of the end stands first */
  readonly #reachedIn: number[]
  #turn = 0

  constructor(text: string) {
    this.#text = text
    this.#start = this.#sequence(0, text.length, end)
    this.#reachedIn = Array.from({ length: this.#states.length + 1 }, () => 0)
  }

  /** Every state that can be reached is looked at once for each character. */
  matches(value: string): boolean {
    let current: number[] = []
    this.#turn++
    this.#reach(this.#start, current)
    for (let at = 0; at < value.length && current.length > 0; at++) {
      const unit = value.charAt(at)
      const following: number[] = []
      this.#turn++
      for (const index of current) {
        const state = this.#states[index]
        if (state?.takes?.(unit) === true) this.#reach(state.next, following)
      }
      current = following
    }
    return current.includes(end)
  }

  #reach(index: number, into: number[]): void {
    if (this.#reachedIn[index + 1] === this.#turn) return
    this.#reachedIn[index + 1] = this.#turn
    const state = this.#states[index]
    if (state === undefined || state.takes !== undefined) into.push(index)
    else for (const fork of state.forks) this.#reach(fork, into)
  }

  /** From its end to its beginning, so that each part knows what follows; returns where it begins. */
  #sequence(from: number, to: number, next: number): number {
    return this.#parts(from, to).reduceRight((following, part) => this.#part(part, following), next)
  }

  #part({ kind, from, to }: Part, next: number): number {
    switch (kind) {
      case 'star': {
        const any = this.#add({ takes: () => true, next: end })
        const fork = this.#add({ takes: undefined, next, forks: [any, next] })
        this.#states[any] = { takes: () => true, next: fork }
        return fork
      }
      case 'one':
        return this.#add({ takes: () => true, next })
      case 'class':
        return this.#add({ takes: classOf(this.#text.slice(from + 1, to - 1)), next })
      case 'either':
        return this.#add({ takes: undefined, next, forks: branchesOf(this.#text, from, to).map((branch) => this.#sequence(branch.from, branch.to, next)) })
      case 'unit':
        return this.#unit(this.#text.charAt(to - 1), next)
      default:
        return kind satisfies never
    }
  }

  #unit(wanted: string, next: number): number {
    return this.#add({ takes: (unit) => unit === wanted, next })
  }

  #parts(from: number, to: number): readonly Part[] {
    const parts: Part[] = []
    for (let at = from; at < to; at = parts.at(-1)?.to ?? to) parts.push(partAt(this.#text, at, to))
    return parts
  }

  #add(state: State): number {
    return this.#states.push(state) - 1
  }
}

interface Part {
  readonly kind: 'star' | 'one' | 'class' | 'either' | 'unit'
  readonly from: number
  readonly to: number
}

function partAt(text: string, from: number, to: number): Part {
  const one = from + 1
  switch (text.charAt(from)) {
    case '*':
      return { kind: 'star', from, to: one }
    case '?':
      return { kind: 'one', from, to: one }
    case '\\':
      return { kind: 'unit', from, to: Math.min(from + 2, to) }
    case '[': {
      // a bracket right behind the first, or behind its `!`, is one of the characters
      const close = text.indexOf(']', from + (/^[!^]/.test(text.charAt(one)) ? 3 : 2))
      return close === -1 || close >= to ? { kind: 'unit', from, to: one } : { kind: 'class', from, to: close + 1 }
    }
    case '{': {
      const close = closingBrace(text, from, to)
      return close === undefined || branchesOf(text, from, close + 1).length < 2 ? { kind: 'unit', from, to: one } : { kind: 'either', from, to: close + 1 }
    }
    default:
      return { kind: 'unit', from, to: one }
  }
}

function closingBrace(text: string, from: number, to: number): number | undefined {
  let depth = 0
  for (let at = from; at < to; at++) {
    const unit = text.charAt(at)
    if (unit === '\\') at++
    else if (unit === '{') depth++
    else if (unit === '}' && --depth === 0) return at
  }
  return undefined
}

/** What stands between the commas of `{a,b}`. */
function branchesOf(text: string, from: number, to: number): readonly { readonly from: number; readonly to: number }[] {
  const branches: { from: number; to: number }[] = []
  let depth = 0
  let start = from + 1
  for (let at = from + 1; at < to - 1; at++) {
    const unit = text.charAt(at)
    if (unit === '\\') at++
    else if (unit === '{') depth++
    else if (unit === '}') depth--
    else if (unit === ',' && depth === 0) {
      branches.push({ from: start, to: at })
      start = at + 1
    }
  }
  return [...branches, { from: start, to: to - 1 }]
}

function classOf(content: string): (unit: string) => boolean {
  const isNegated = /^[!^]/.test(content)
  const ranges: { readonly low: string; readonly high: string }[] = []
  for (let at = isNegated ? 1 : 0; at < content.length; at++) {
    if (content.charAt(at) === '\\' && at + 1 < content.length) at++
    const low = content.charAt(at)
    const isRange = content.charAt(at + 1) === '-' && at + 2 < content.length
    ranges.push({ low, high: isRange ? content.charAt(at + 2) : low })
    if (isRange) at += 2
  }
  return (unit) => ranges.some(({ low, high }) => low <= unit && unit <= high) !== isNegated
}
