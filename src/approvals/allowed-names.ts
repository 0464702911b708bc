// The names that policy allows one by one, by their registrable domains: for telling a reviewer that a host
// looks like one of them, or is a neighbour of one. A long list is looked at up to a bound. Never decides.
import type { RuleRef } from '../policy/decision.ts'
import { indexHit, refOf, ruleAt, writtenEntry } from '../policy/hits.ts'
import { entryAt, entryOffsets } from '../policy/name-table.ts'
import type { Policy } from '../policy/policy.ts'
import { unicodeHost } from '../target/host.ts'
import { registrableDomain } from '../target/registrable-domain.ts'
import { looseSkeleton } from './confusable.ts'

/** entries that are looked at, half of them of lists at most */
const maxNames = 10_000
const maxPerDomain = 5
/** shorter first labels are near too many others */
const minLabel = 4

/** An entry of an allow list, or a pattern of a rule that allows. */
export interface AllowedName {
  readonly name: string
  readonly rule: RuleRef
}

/** One per policy: it is made once, at the first question, and holds no reference to the policy after. */
export class AllowedNames {
  readonly #byDomain = new Map<string, AllowedName[]>()
  readonly #bySkeleton = new Map<string, string>()

  constructor(policy: Policy) {
    let left = maxNames
    for (const each of namesOf(policy)) {
      if (left-- === 0) return
      if (each !== undefined) this.#add(each)
    }
  }

  /** Allowed names of the same registrable domain, five at most. */
  neighbours(domain: string): readonly AllowedName[] {
    return this.#byDomain.get(domain) ?? []
  }

  /** The allowed registrable domain that this one could be taken for, or undefined. */
  resembled(domain: string): string | undefined {
    if (this.#byDomain.has(domain)) return undefined
    const drawn = this.#bySkeleton.get(looseSkeleton(unicodeHost(domain)))
    if (drawn !== undefined) return drawn
    if (domain.indexOf('.') < minLabel) return undefined
    for (const known of this.#byDomain.keys()) if (known.indexOf('.') >= minLabel && isOneEditAway(domain, known)) return known
    return undefined
  }

  #add(each: AllowedName): void {
    const domain = registrableDomain(each.name)
    if (domain === undefined) return
    const names = this.#byDomain.get(domain)
    if (names === undefined) {
      this.#byDomain.set(domain, [each])
      this.#bySkeleton.set(looseSkeleton(unicodeHost(domain)), domain)
    } else if (names.length < maxPerDomain) names.push(each)
  }
}

/** Also an undefined for each that is looked at and is no allow, so that whoever counts can stop. */
function* namesOf(policy: Policy): Generator<AllowedName | undefined> {
  const { allow } = policy.lists
  let left = maxNames / 2
  for (const offset of entryOffsets(allow.table)) {
    if (left-- === 0) break
    const rule = policy.rules[ruleAt(allow, offset)]
    const { name, flags, line } = entryAt(allow.table, offset)
    yield rule === undefined ? undefined : { name, rule: { id: rule.id, pattern: writtenEntry(name, flags), file: rule.file, line } }
  }
  for (const [name, patterns] of policy.index.exact) {
    for (const at of patterns) {
      const hit = indexHit(policy, policy.index, at)
      yield hit?.rule.verdict === 'allow' ? { name, rule: refOf(hit) } : undefined
    }
  }
}

/** One character more, less or other, or two neighbours swapped. */
export function isOneEditAway(one: string, other: string): boolean {
  if (one === other || Math.abs(one.length - other.length) > 1) return false
  let start = 0
  while (start < one.length && one[start] === other[start]) start++
  let end = 0
  while (end < Math.min(one.length, other.length) - start && one[one.length - 1 - end] === other[other.length - 1 - end]) end++
  const rest = one.slice(start, one.length - end)
  const others = other.slice(start, other.length - end)
  if (rest.length <= 1 && others.length <= 1) return true
  return rest.length === 2 && others.length === 2 && rest[0] === others[1] && rest[1] === others[0]
}
