// What happened in a stretch of the journal, summed up: verdicts by host, agent, team, rule and hour, questions and how long
// they waited, what monitor mode let pass, and what the journal says of its own gaps. Pure, one pass, bounded memory.
import { uriHost } from '../target/host.ts'
import { Durations, Frequencies, Groups, noCounts, type Counted, type Counts, type Ranked } from './report-counts.ts'
import type { JournalRecord } from './record.ts'
import { numberAttribute, textAttribute } from './record-attributes.ts'

/** Everything that was asked about one host and port. */
export interface HostQuestions {
  readonly host: string
  readonly port: number
  readonly asked: number
  readonly allowed: number
  readonly denied: number
  /** ended without an answer */
  readonly expired: number
  readonly withdrawn: number
  /** times that a person, and no program, said yes */
  readonly allowedByPeople: number
  readonly agents: readonly string[]
  /** terms of the yeses: once, session, until, always */
  readonly terms: readonly string[]
}

/** A rule or an entry of a list, and how often it decided. */
export interface RuleHits {
  readonly id: string
  readonly file: string
  readonly line: number
  readonly pattern: string
  readonly allowed: number
  readonly asked: number
  readonly denied: number
}

export interface Report {
  /** RFC 3339; undefined where there is no record */
  readonly first: string | undefined
  readonly last: string | undefined
  readonly records: number
  readonly totals: Counts
  readonly byHost: readonly Ranked[]
  readonly byAgent: readonly Ranked[]
  readonly byTeam: readonly Ranked[]
  /** by the hour, `ms` since the epoch, oldest first; hours without a decision are left out */
  readonly byHour: readonly (Counts & { readonly atMs: number })[]
  /** codes of refusals */
  readonly byCode: readonly { readonly name: string; readonly count: number }[]
  readonly rules: readonly RuleHits[]
  /** monitor mode: what enforce mode would have refused or asked about, by host and code */
  readonly monitored: readonly { readonly name: string; readonly count: number }[]
  readonly questions: {
    readonly asked: number
    readonly allowed: number
    readonly denied: number
    readonly expired: number
    readonly withdrawn: number
    readonly waitedMs: Durations
    readonly byHost: readonly HostQuestions[]
    readonly byReviewer: readonly { readonly name: string; readonly count: number }[]
  }
  readonly cache: { readonly hits: number; readonly misses: number; readonly filled: number }
  readonly sessions: number
  /** causes of gaps in the journal, and how many records each says are missing */
  readonly gaps: readonly { readonly cause: string; readonly count: number; readonly time: string }[]
  readonly policyRejections: number
}

const maxNames = 50_000
const maxHours = 100_000
const maxWaits = 100_000
const maxGaps = 100
const hourMs = 3_600_000
const noTeam = '(no team)'

type Asked = { -readonly [name in Exclude<keyof HostQuestions, 'agents' | 'terms'>]: HostQuestions[name] } & { readonly agents: Set<string>; readonly terms: Set<string> }
type Hits = { -readonly [name in keyof RuleHits]: RuleHits[name] }

export class ReportBuilder {
  readonly #totals = noCounts()
  readonly #hosts = new Groups(maxNames)
  readonly #agents = new Groups(maxNames)
  readonly #teams = new Groups(maxNames)
  readonly #hours = new Map<number, Counted>()
  readonly #codes = new Frequencies(maxNames)
  readonly #monitored = new Frequencies(maxNames)
  readonly #rules = new Map<string, Hits>()
  readonly #questions = new Map<string, Asked>()
  readonly #reviewers = new Frequencies(maxNames)
  readonly #waits = new Durations(maxWaits)
  readonly #sessions = new Set<string>()
  readonly #gaps: { cause: string; count: number; time: string }[] = []
  readonly #sums = { asked: 0, allowed: 0, denied: 0, expired: 0, withdrawn: 0, hits: 0, misses: 0, filled: 0, rejections: 0 }
  #records = 0
  #first: string | undefined
  #last: string | undefined

  take(record: JournalRecord): void {
    this.#records += 1
    this.#first ??= record.time
    this.#last = record.time
    const session = textAttribute(record, 'session.id')
    if (session !== undefined && this.#sessions.size < maxNames) this.#sessions.add(session)
    switch (record.name) {
      case 'sallyport.decision':
        this.#takeDecision(record)
        break
      case 'sallyport.exchange.ended':
        this.#takeEnd(record)
        break
      case 'sallyport.approval.requested':
        this.#sums.asked += 1
        this.#question(record, (asked) => { asked.asked += 1 })
        break
      case 'sallyport.approval.decided':
        this.#takeAnswer(record)
        break
      case 'sallyport.approval.expired':
        this.#sums.expired += 1
        this.#question(record, (asked) => { asked.expired += 1 })
        break
      case 'sallyport.approval.withdrawn':
        this.#sums.withdrawn += 1
        this.#question(record, (asked) => { asked.withdrawn += 1 })
        break
      case 'sallyport.cache.hit':
        this.#sums.hits += 1
        break
      case 'sallyport.cache.missed':
        this.#sums.misses += 1
        break
      case 'sallyport.cache.filled':
        this.#sums.filled += 1
        break
      case 'sallyport.policy.rejected':
        this.#sums.rejections += 1
        break
      case 'sallyport.audit.gap':
        if (this.#gaps.length < maxGaps) this.#gaps.push({ cause: textAttribute(record, 'sallyport.gap.cause') ?? 'unknown', count: numberAttribute(record, 'sallyport.gap.count') ?? 0, time: record.time })
        break
    }
  }

  result(): Report {
    const { asked, allowed, denied, expired, withdrawn, hits, misses, filled, rejections } = this.#sums
    return {
      first: this.#first,
      last: this.#last,
      records: this.#records,
      totals: this.#totals,
      byHost: this.#hosts.ranked(),
      byAgent: this.#agents.ranked(),
      byTeam: this.#teams.ranked(),
      byHour: [...this.#hours].map(([atMs, counts]) => ({ atMs, ...counts })).toSorted((a, b) => a.atMs - b.atMs),
      byCode: this.#codes.ranked(),
      rules: [...this.#rules.values()].toSorted((a, b) => hitsOf(b) - hitsOf(a)),
      monitored: this.#monitored.ranked(),
      questions: {
        asked, allowed, denied, expired, withdrawn, waitedMs: this.#waits,
        byHost: [...this.#questions.values()].map(({ agents, terms, ...rest }) => ({ ...rest, agents: [...agents].toSorted(), terms: [...terms].toSorted() })).toSorted((a, b) => b.asked - a.asked || (a.host < b.host ? -1 : 1)),
        byReviewer: this.#reviewers.ranked(),
      },
      cache: { hits, misses, filled },
      sessions: this.#sessions.size,
      gaps: this.#gaps,
      policyRejections: rejections,
    }
  }

  #takeDecision(record: JournalRecord): void {
    const verdict = textAttribute(record, 'network.policy.decision')
    const stage = textAttribute(record, 'sallyport.stage')
    const isLater = stage === 'address' || stage === 'tls'
    // what a question came to is told by its own events; the exchange was counted when policy asked
    if (verdict === 'ask' && stage !== 'policy') return
    const code = textAttribute(record, 'sallyport.code') ?? 'unknown'
    if (verdict === 'deny') this.#codes.add(code)
    const monitored = textAttribute(record, 'sallyport.monitored.code')
    if (monitored !== undefined) this.#monitored.add(`${placeOf(record)} ${monitored}`)
    for (const counts of this.#groupsOf(record)) {
      if (verdict === 'allow') counts.allowed += 1
      else if (verdict === 'ask') counts.asked += 1
      else if (verdict === 'deny') {
        counts.denied += 1
        // an earlier stage let it pass, and was counted
        if (isLater && counts.allowed > 0) counts.allowed -= 1
      }
    }
    if (!isLater) this.#takeRule(record, verdict)
  }

  #takeRule(record: JournalRecord, verdict: string | undefined): void {
    const id = textAttribute(record, 'security_rule.name')
    if (id === undefined) return
    const file = textAttribute(record, 'security_rule.ruleset.name') ?? ''
    const pattern = textAttribute(record, 'sallyport.rule.pattern') ?? ''
    const key = JSON.stringify([id, file, pattern])
    const known = this.#rules.get(key)
    if (known === undefined && this.#rules.size >= maxNames) return
    const hits = known ?? { id, file, pattern, line: 0, allowed: 0, asked: 0, denied: 0 }
    // where it stood last
    hits.line = numberAttribute(record, 'sallyport.rule.line') ?? 0
    if (verdict === 'allow') hits.allowed += 1
    else if (verdict === 'ask') hits.asked += 1
    else hits.denied += 1
    if (known === undefined) this.#rules.set(key, hits)
  }

  #takeEnd(record: JournalRecord): void {
    const out = numberAttribute(record, 'sallyport.bytes_from_client') ?? 0
    const back = numberAttribute(record, 'sallyport.bytes_from_origin') ?? 0
    if (out === 0 && back === 0) return
    for (const counts of this.#groupsOf(record)) {
      counts.bytesFromClient += out
      counts.bytesFromOrigin += back
    }
  }

  #takeAnswer(record: JournalRecord): void {
    // the first yes of four eyes opens nothing
    if (record.attributes['sallyport.approval.complete'] === false) return
    const isYes = textAttribute(record, 'sallyport.approval.verdict') === 'allow'
    const isPerson = textAttribute(record, 'sallyport.reviewer.kind') !== 'program'
    this.#sums[isYes ? 'allowed' : 'denied'] += 1
    this.#waits.add(numberAttribute(record, 'sallyport.approval.waited_ms') ?? 0)
    const reviewer = textAttribute(record, 'sallyport.reviewer.name')
    if (reviewer !== undefined) this.#reviewers.add(reviewer)
    const term = textAttribute(record, 'sallyport.approval.term')
    this.#question(record, (asked) => {
      if (!isYes) asked.denied += 1
      else {
        asked.allowed += 1
        asked.allowedByPeople += isPerson ? 1 : 0
        if (term !== undefined) asked.terms.add(term)
      }
    })
  }

  /** Questions about single requests or pages are not about their host. */
  #question(record: JournalRecord, count: (asked: Asked) => void): void {
    const host = textAttribute(record, 'server.address')
    const port = numberAttribute(record, 'server.port')
    if (host === undefined || port === undefined || textAttribute(record, 'sallyport.approval.kind') !== 'host') return
    const key = `${host}:${port}`
    const known = this.#questions.get(key)
    if (known === undefined && this.#questions.size >= maxNames) return
    const asked = known ?? { host, port, asked: 0, allowed: 0, denied: 0, expired: 0, withdrawn: 0, allowedByPeople: 0, agents: new Set<string>(), terms: new Set<string>() }
    const agent = textAttribute(record, 'gen_ai.agent.name')
    if (agent !== undefined) asked.agents.add(agent)
    count(asked)
    if (known === undefined) this.#questions.set(key, asked)
  }

  #groupsOf(record: JournalRecord): readonly Counted[] {
    const atMs = Math.floor(Date.parse(record.time) / hourMs) * hourMs
    const hour = this.#hours.get(atMs) ?? noCounts()
    if (this.#hours.size < maxHours) this.#hours.set(atMs, hour)
    return [
      this.#totals, hour,
      this.#hosts.of(placeOf(record)),
      this.#agents.of(textAttribute(record, 'gen_ai.agent.name') ?? 'unknown'),
      ...(record.name === 'sallyport.decision' ? [this.#teams.of(textAttribute(record, 'sallyport.team') ?? noTeam)] : []),
    ]
  }
}

function hitsOf({ allowed, asked, denied }: RuleHits): number {
  return allowed + asked + denied
}

/** Host and port; 443 is what is meant where none is said. What could not be parsed has no port. */
function placeOf(record: JournalRecord): string {
  const host = textAttribute(record, 'server.address') ?? 'unknown'
  const port = numberAttribute(record, 'server.port') ?? 0
  if (port === 0) return '(no host that can be read)'
  return port === 443 ? host : `${uriHost(host)}:${port}`
}
