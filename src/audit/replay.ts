// Decisions of the journal asked again of another policy: what would be answered otherwise, and what cannot be told.
// Pure. The answer is the one that the gate would give: the same functions, and what is opened inside TLS for it.
import { asksInside, openedInside } from '../policy/asks-inside.ts'
import type { RuleRef, Verdict } from '../policy/decision.ts'
import { evaluate } from '../policy/evaluate.ts'
import type { Facts } from '../policy/facts.ts'
import type { Policy } from '../policy/policy.ts'
import { untold, type Untold } from '../policy/untold.ts'
import type { RecordedDecision } from './recorded-facts.ts'

/** One kind of change, with how often it happened. */
export interface Change {
  readonly from: Verdict
  readonly to: Verdict
  /** the first that changed so; method and host are those of all, its path is an example */
  readonly facts: Facts
  readonly agents: readonly string[]
  readonly was: { readonly code: string; readonly rule: RuleRef | undefined; readonly granted: number }
  readonly becomes: { readonly code: string; readonly reason: string; readonly rule: RuleRef | undefined }
  readonly count: number
  readonly first: string
  readonly last: string
  /** of the newest of them, newest first */
  readonly requestIds: readonly string[]
}

export interface ReplayResult {
  readonly replayed: number
  readonly same: number
  readonly changed: number
  /** strictest first, and of equals the most frequent */
  readonly changes: readonly Change[]
  /** what would have had to be known, and for how many; these are in none of the other counts */
  readonly untold: { readonly count: number; readonly missing: Readonly<Record<Untold, number>> }
  /** kinds of change beyond the ones that are kept */
  readonly uncounted: number
  /** allowed tunnels that the policy would look into */
  readonly lookedInto: number
  readonly first: string | undefined
  readonly last: string | undefined
}

interface Counted extends Omit<Change, 'agents' | 'count' | 'last' | 'requestIds' | 'was'> {
  readonly code: string
  readonly rule: RuleRef | undefined
  readonly agents: Set<string>
  granted: number
  count: number
  last: string
  requestIds: string[]
}

/** Kinds of change that are told apart; a policy that changes more than that is a different policy. */
const maxChanges = 10_000
const maxIds = 3
const strictness: Readonly<Record<Verdict, number>> = { allow: 0, ask: 1, deny: 2 }

export class Replay {
  readonly #policy: Policy
  readonly #nowMs: number
  readonly #changes = new Map<string, Counted>()
  readonly #missing: Record<Untold, number> = { path: 0, query: 0, headers: 0, content: 0 }
  #same = 0
  #changed = 0
  #untold = 0
  #uncounted = 0
  #lookedInto = 0
  #first: string | undefined
  #last: string | undefined

  constructor(policy: Policy, nowMs: number) {
    this.#policy = policy
    this.#nowMs = nowMs
  }

  take(recorded: RecordedDecision): void {
    const { facts, path, time } = recorded
    this.#first ??= time
    this.#last = time
    const missing = untold(this.#policy, facts, { wholePath: path === 'whole' })
    if (missing.length > 0) {
      this.#untold += 1
      for (const each of missing) this.#missing[each] += 1
      return
    }
    const evaluated = evaluate(this.#policy, facts, this.#nowMs)
    const decision = asksInside(this.#policy, facts, evaluated) ? openedInside(evaluated) : evaluated
    const { verdict, code, reason, rule } = decision.monitored ?? decision
    if (facts.stage === 'connect' && verdict === 'allow' && decision.obligations.inspect !== 'none') this.#lookedInto += 1
    if (verdict === recorded.verdict) {
      this.#same += 1
      return
    }
    this.#changed += 1
    this.#count(recorded, { verdict, code, reason, rule })
  }

  result(): ReplayResult {
    const changes = [...this.#changes.values()].toSorted((a, b) => strictness[b.to] - strictness[a.to] || strictness[a.from] - strictness[b.from] || b.count - a.count)
    return {
      replayed: this.#same + this.#changed + this.#untold,
      same: this.#same,
      changed: this.#changed,
      changes: changes.map(({ code, rule, granted, agents, ...change }) => ({ ...change, agents: [...agents].toSorted(), was: { code, rule, granted } })),
      untold: { count: this.#untold, missing: this.#missing },
      uncounted: this.#uncounted,
      lookedInto: this.#lookedInto,
      first: this.#first,
      last: this.#last,
    }
  }

  #count(recorded: RecordedDecision, { verdict, code, reason, rule }: { readonly verdict: Verdict; readonly code: string; readonly reason: string; readonly rule: RuleRef | undefined }): void {
    const { facts, requestId, time } = recorded
    const key = JSON.stringify([recorded.verdict, verdict, facts.stage, facts.method, facts.scheme, facts.host.text, facts.port, placeKey(recorded.rule), recorded.code, placeKey(rule), code])
    const known = this.#changes.get(key)
    if (known === undefined && this.#changes.size >= maxChanges) {
      this.#uncounted += 1
      return
    }
    const counted = known ?? {
      from: recorded.verdict, to: verdict, facts, code: recorded.code, rule: recorded.rule, becomes: { code, reason, rule },
      agents: new Set<string>(), granted: 0, count: 0, first: time, last: time, requestIds: [],
    }
    counted.agents.add(facts.principal.agent)
    counted.granted += recorded.wasGranted ? 1 : 0
    counted.count += 1
    counted.last = time
    counted.requestIds = [requestId, ...counted.requestIds].slice(0, maxIds)
    if (known === undefined) this.#changes.set(key, counted)
  }
}

function placeKey(rule: RuleRef | undefined): string {
  return rule === undefined ? '' : `${rule.file}:${rule.line}:${rule.id}`
}
