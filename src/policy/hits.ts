// Which rules speak of a host at all: the lookups in lists, feeds and the rule index, in one place. Ports,
// methods and paths are judged by the caller.
import type { Host } from '../target/host.ts'
import type { IpAddress } from '../target/address.ts'
import type { RuleRef } from './decision.ts'
import type { Principal } from './facts.ts'
import { coversBelow, coversName, entryAt, findName } from './name-table.ts'
import { patternsFor, patternsForAddress, patternsForName } from './pattern-index.ts'
import type { Feed, NameList, PatternIndex, Policy, Ports, Rule } from './policy.ts'

/** A rule whose host pattern covers the host. */
export interface Hit {
  readonly rule: Rule
  /** as written */
  readonly pattern: string
  readonly line: number
  readonly ports: Ports
  readonly wildcard: boolean
  /** the pattern is `*` */
  readonly any: boolean
}

/**
 * Every rule for this principal (undefined: for anybody) whose pattern covers the host, whatever its ports;
 * denies of feeds too.
 */
export function hitsFor(policy: Policy, host: Host, principal: Principal | undefined): readonly Hit[] {
  const hits: Hit[] = []
  if (host.kind === 'name') {
    const { deny, ask, allow } = policy.lists
    pushListHit(policy, deny, host.text, hits)
    for (const feed of policy.feeds) pushFeedHit(policy, feed, host.text, hits)
    pushListHit(policy, ask, host.text, hits)
    pushListHit(policy, allow, host.text, hits)
  }
  for (const at of patternsFor(policy.index, host)) {
    const hit = indexHit(policy, policy.index, at)
    if (hit !== undefined && (principal === undefined || isFor(hit.rule, principal))) hits.push(hit)
  }
  return hits
}

/** The host-level deny that names this address, if any; applied to what names resolve to. */
export function addressDeny(policy: Policy, ip: IpAddress, principal: Principal): Hit | undefined {
  for (const at of patternsForAddress(policy.index, ip)) {
    const hit = indexHit(policy, policy.index, at)
    if (hit?.rule.verdict === 'deny' && !hit.rule.requestLevel && isFor(hit.rule, principal)) return hit
  }
  return undefined
}

/** Whether a rule by agent or team is about this one. */
export function isFor(rule: Rule, principal: Principal): boolean {
  if (rule.agents !== undefined && !rule.agents.includes(principal.agent)) return false
  return rule.teams === undefined || (principal.team !== undefined && rule.teams.includes(principal.team))
}

/** Where a hit stands. */
export function refOf(hit: Hit): RuleRef {
  return { id: hit.rule.id, pattern: hit.pattern, file: hit.rule.file, line: hit.line }
}

/** An entry of a name table as it would be written. */
export function writtenEntry(name: string, flags: number): string {
  if (flags === coversName) return name
  return flags === coversBelow ? `*.${name}` : `**.${name}`
}

/** The pattern at an index, as a hit. */
export function indexHit(policy: Policy, index: PatternIndex, at: number): Hit | undefined {
  const pattern = index.patterns[at]
  const rule = pattern === undefined ? undefined : policy.rules[pattern.rule]
  if (pattern === undefined || rule === undefined) return undefined
  const { text, line, ports, wildcard, any } = pattern
  return { rule, pattern: text, line, ports, wildcard, any }
}

function pushListHit(policy: Policy, list: NameList, name: string, hits: Hit[]): void {
  const offset = findName(list.table, name)
  if (offset === -1) return
  const rule = policy.rules[ruleAt(list, offset)]
  if (rule === undefined) return
  const entry = entryAt(list.table, offset)
  // denies and reviews cover every port
  const ports = rule.verdict === 'allow' ? 'default' : 'every'
  const pattern = writtenEntry(entry.name, entry.flags)
  hits.push({ rule, pattern, line: entry.line, ports, wildcard: entry.flags !== coversName, any: false })
}

function pushFeedHit(policy: Policy, feed: Feed, name: string, hits: Hit[]): void {
  const { table, except } = feed
  const offset = findName(table, name, except.patterns.length === 0 ? undefined : (at) => isExcepted(except, entryAt(table, at).name))
  if (offset === -1) return
  const rule = policy.rules[feed.rule]
  if (rule === undefined || (except.patterns.length > 0 && isExcepted(except, name))) return
  const entry = entryAt(table, offset)
  hits.push({ rule, pattern: entry.name, line: entry.line, ports: 'every', wildcard: entry.flags !== coversName, any: false })
}

function isExcepted(except: PatternIndex, name: string): boolean {
  return patternsForName(except, name).length > 0
}

/** The rule to whose segment the entry at `offset` belongs. */
export function ruleAt(list: NameList, offset: number): number {
  const { segments } = list
  let low = 0
  let high = segments.length - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if ((segments[middle]?.start ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  return segments[low]?.rule ?? -1
}
