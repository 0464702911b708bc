// Why a request gets what it gets: the decision, every rule that speaks of it, and the rules that nearly
// did, in words and as data. It decides nothing: the decision is evaluate's.
import { entriesAround, entryAt, coversBelow, coversName } from './name-table.ts'
import type { Decision, RuleRef, Verdict } from './decision.ts'
import { evaluate } from './evaluate.ts'
import type { Facts } from './facts.ts'
import { hitsFor, indexHit, isFor, refOf, ruleAt, writtenEntry } from './hits.ts'
import type { Hit } from './hits.ts'
import { effectLines } from './effects.ts'
import { covers, mismatch } from './fit.ts'
import { missText } from './miss-words.ts'
import { readPath } from './path-pattern.ts'
import { providerSearchLines } from './provider-obligation.ts'
import type { NameList, Policy, Rule } from './policy.ts'
import { formatPorts } from './ports.ts'
import { Inside, misses } from './terms.ts'
import type { Miss, MissedWhat } from './terms.ts'

export type NearMiss = 'port' | 'scope' | 'agent' | 'except' | MissedWhat

export interface MatchedRule {
  readonly rule: RuleRef
  readonly verdict: Verdict
  readonly layer: Rule['layer']
  /** what it says of this request, as a sentence */
  readonly says: string
}

export interface MissedRule extends MatchedRule {
  /** what kept it from matching */
  readonly why: NearMiss
}

export interface Explanation {
  readonly decision: Decision
  readonly matched: readonly MatchedRule[]
  readonly near: readonly MissedRule[]
  /** all of it in words, a line each */
  readonly lines: readonly string[]
}

const maxNear = 20

/** Explains what `evaluate` answers to the same facts. Never throws where evaluate does not. */
export function explain(policy: Policy, facts: Facts, now: number): Explanation {
  const decision = evaluate(policy, facts, now)
  const matched: MatchedRule[] = []
  const near: MissedRule[] = []
  const inside = new Inside(facts)
  for (const hit of hitsFor(policy, facts.host, undefined)) {
    const missed = missOf(hit, facts, inside)
    if (missed === undefined) matched.push({ ...entryOf(hit), says: saysOf(hit, facts) })
    else if (typeof missed === 'string') near.push({ ...entryOf(hit), why: missed, says: missSays(hit, facts, missed) })
    else near.push({ ...entryOf(hit), why: missed.what, says: missText(hit.rule, facts, missed) })
  }
  near.push(...scopeMisses(policy, facts))
  const nearest = near.slice(0, maxNear)
  return { decision, matched, near: nearest, lines: [...linesOf(decision, matched, nearest), ...providerSearchLines(policy, facts, decision.obligations)] }
}

function entryOf(hit: Hit): Pick<MatchedRule, 'rule' | 'verdict' | 'layer'> {
  return { rule: refOf(hit), verdict: hit.rule.verdict, layer: hit.rule.layer }
}

function missOf(hit: Hit, facts: Facts, inside: Inside): 'agent' | 'port' | Miss | undefined {
  if (!isFor(hit.rule, facts.principal)) return 'agent'
  if (!covers(hit.ports, facts)) return 'port'
  if (facts.stage === 'connect' || !hit.rule.requestLevel) return undefined
  const readings = hit.rule.paths === undefined ? [[]] : readPath(facts.path ?? '')
  if ('wrong' in readings) return misses.path
  for (const segments of readings) {
    const missed = mismatch(hit, facts, segments, inside)
    if (missed !== undefined) return missed
  }
  return undefined
}

function saysOf(hit: Hit, facts: Facts): string {
  const { rule } = hit
  const because = rule.reason === undefined ? '' : ` (${rule.reason})`
  if (facts.stage === 'connect' && rule.requestLevel) return `looks inside each request${because}`
  const via = rule.cache ? ' through the cache' : ''
  return `${rule.verdict === 'allow' ? 'allows' : rule.verdict === 'deny' ? 'denies' : 'asks for an approval of'} it${via}${because}`
}

function missSays({ rule, ports }: Hit, facts: Facts, why: 'agent' | 'port'): string {
  if (why === 'port') return `covers ${formatPorts(ports)} and not port ${facts.port}`
  return `is for ${[...(rule.agents ?? []), ...(rule.teams ?? []).map((team) => `team ${team}`)].join(', ')} and not for ${facts.principal.agent}`
}

/** Patterns that are a label away: `x` for what is below x, `*.x` for x itself, lines that are excepted. */
function scopeMisses(policy: Policy, facts: Facts): readonly MissedRule[] {
  const { host } = facts
  if (host.kind !== 'name') return []
  const { deny, ask, allow } = policy.lists
  const missed = [deny, ask, allow].flatMap((list) => listMisses(policy, list, host.text))
  for (const { rule: at, table } of policy.feeds) {
    const rule = policy.rules[at]
    for (const offset of rule === undefined ? [] : entriesAround(table, host.text)) {
      const { name, flags, line } = entryAt(table, offset)
      if (rule === undefined || hitsFor(policy, host, undefined).some((hit) => hit.rule === rule)) continue
      const lifted = coversIt(name, flags, host.text)
      const says = lifted ? 'is lifted by `except`' : 'covers that name alone'
      missed.push({ ...refTo(rule, name, line), why: lifted ? 'except' : 'scope', says })
    }
  }
  return [...missed, ...indexMisses(policy, host.text)]
}

function listMisses(policy: Policy, list: NameList, host: string): readonly MissedRule[] {
  return entriesAround(list.table, host).flatMap((offset) => {
    const { name, flags, line } = entryAt(list.table, offset)
    const rule = policy.rules[ruleAt(list, offset)]
    if (rule === undefined || coversIt(name, flags, host)) return []
    return [{ ...refTo(rule, writtenEntry(name, flags), line), why: 'scope' as const, says: scopeSays(name === host, name) }]
  })
}

function indexMisses(policy: Policy, host: string): readonly MissedRule[] {
  const { exact, below } = policy.index
  const covered = new Set(hitsFor(policy, { kind: 'name', text: host }, undefined).map(({ rule }) => rule))
  const found = [...(below.get(host) ?? [])]
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
    found.push(...(exact.get(host.slice(dot + 1)) ?? []))
  }
  return found.flatMap((at) => {
    const hit = indexHit(policy, policy.index, at)
    if (hit === undefined || covered.has(hit.rule)) return []
    const apex = below.get(host)?.includes(at) === true
    return [{ ...entryOf(hit), why: 'scope' as const, says: scopeSays(apex, hit.pattern) }]
  })
}

function refTo(rule: Rule, pattern: string, line: number): Pick<MatchedRule, 'rule' | 'verdict' | 'layer'> {
  return { rule: { id: rule.id, pattern, file: rule.file, line }, verdict: rule.verdict, layer: rule.layer }
}

function coversIt(name: string, flags: number, host: string): boolean {
  return (flags & (name === host ? coversName : coversBelow)) !== 0
}

function scopeSays(apex: boolean, name: string): string {
  return apex ? 'covers what is below and not the name itself' : `covers ${name} alone and not what is below`
}

function linesOf(decision: Decision, matched: readonly MatchedRule[], near: readonly MissedRule[]): readonly string[] {
  const { verdict, code, reason, rule, monitored, obligations } = decision
  const lines = [`${verdict}: ${reason}${code === 'allowed' ? '' : ` (${code})`}`]
  if (monitored !== undefined) {
    lines.push(`monitor mode lets it through; enforced, the answer would be ${monitored.verdict} (${monitored.code})`)
  }
  if (rule !== undefined) lines.push(`decided by ${placeOf(rule)}`)
  if (obligations.inspect !== 'none') {
    lines.push(obligations.inspect === 'cache' ? 'answered from the cache' : 'requests to this host are looked into')
  }
  if (obligations.raw !== undefined) {
    lines.push(obligations.raw === 'ssh' ? 'the tunnel has to start with SSH-' : 'the tunnel may hold anything')
  }
  lines.push(...effectLines(obligations))
  for (const each of matched) lines.push(`matches: ${placeOf(each.rule)} ${each.says}`)
  for (const each of near) lines.push(`does not match: ${placeOf(each.rule)} ${each.says}`)
  return lines
}

function placeOf({ id, pattern, file, line }: RuleRef): string {
  const place = line === 0 ? file : `${file}:${line}`
  return pattern === '' ? `${id} (${place})` : `${id} \`${pattern}\` (${place})`
}
