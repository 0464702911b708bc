// What a replay found, for people: the sum of it, then the changes by how they change, the strictest first. Pure.
import { styleText } from 'node:util'
import type { Change, ReplayResult } from '../audit/replay.ts'
import type { RuleRef, Verdict } from '../policy/decision.ts'
import type { Policy } from '../policy/policy.ts'
import type { Untold } from '../policy/untold.ts'
import { formatAuthority } from '../target/authority.ts'
import { table } from './cells.ts'
import { plural } from './plural.ts'
import { printable, shownPath } from './policy-problems.ts'
import { shortTime } from './report-parts.ts'

export interface ReplayTextOptions {
  /** kinds of change of each sort */
  readonly limit: number
  readonly cwd: string
  /** may be coloured */
  readonly isTty: boolean
}

const sorts: readonly { readonly from: Verdict; readonly to: Verdict; readonly says: string; readonly colour: 'red' | 'yellow' | 'green' }[] = [
  { from: 'allow', to: 'deny', says: 'would be refused that passed', colour: 'red' },
  { from: 'ask', to: 'deny', says: 'would be refused that policy asked about', colour: 'red' },
  { from: 'allow', to: 'ask', says: 'would be asked about that passed', colour: 'yellow' },
  { from: 'deny', to: 'ask', says: 'would be asked about that was refused', colour: 'yellow' },
  { from: 'ask', to: 'allow', says: 'would pass that policy asked about', colour: 'green' },
  { from: 'deny', to: 'allow', says: 'would pass that was refused', colour: 'green' },
]
const untoldWords: readonly { readonly what: Untold; readonly says: string }[] = [
  { what: 'path', says: 'the whole path' },
  { what: 'query', says: 'values of the query' },
  { what: 'headers', says: 'header fields' },
  { what: 'content', says: 'content' },
]

/** Lines, each ending in a newline. */
export function replayText(policy: Policy, result: ReplayResult, options: ReplayTextOptions): string {
  const { replayed, same, changed, untold, uncounted, lookedInto, first, last } = result
  const when = first === undefined || last === undefined ? '' : ` from ${shortTime(first)} to ${shortTime(last)}`
  const lines = [`${plural(replayed, 'decision')}${when}, asked again of policy ${policy.revision}`]
  if (replayed === 0) return `${lines[0]}\nthere is nothing that a policy decided in this time\n`
  lines.push(`  ${same.toLocaleString('en')} the same`, `  ${changed.toLocaleString('en')} otherwise`)
  if (untold.count > 0) lines.push(`  ${untold.count.toLocaleString('en')} cannot be told: rules look at ${missingWords(untold.missing)}, which the journal does not hold`)
  if (lookedInto > 0) lines.push(`${plural(lookedInto, 'tunnel')} would be looked into: the requests in them are decided one by one, and those that the journal holds are counted here`)
  if (policy.mode === 'monitor') lines.push('the policy says `mode = "monitor"`, and would let all of it pass; this is what enforce mode would answer')
  if (uncounted > 0) lines.push(`${plural(uncounted, 'change')} beyond the kinds of change that are told apart`)
  const sections = sorts.map((sort) => section(sort, result.changes.filter(({ from, to }) => from === sort.from && to === sort.to), options))
  if (changed === 0) sections.push('nothing would change\n')
  return `${lines.map(printable).join('\n')}\n${sections.join('')}`
}

function section({ says, colour }: (typeof sorts)[number], changes: readonly Change[], { limit, cwd, isTty }: ReplayTextOptions): string {
  if (changes.length === 0) return ''
  const total = changes.reduce((sum, { count }) => sum + count, 0)
  const heading = `${total.toLocaleString('en')} ${says}`
  const rows = changes.slice(0, limit).map((change) => [change.count.toLocaleString('en'), requestOf(change), change.agents.join(', '), wasOf(change, cwd), becomesOf(change, cwd), change.requestIds[0] ?? ''])
  const rest = changes.length > limit ? `and ${plural(changes.length - limit, 'more kind')}; -n ${changes.length} shows all\n` : ''
  return `\n${isTty ? styleText([colour, 'bold'], heading, { validateStream: false }) : heading}\n${table(['times', 'request', 'agent', 'was', 'would be', 'last request id'], rows)}${rest}`
}

function requestOf({ facts }: Change): string {
  const { stage, scheme, host, port, method, path } = facts
  if (stage === 'connect') return `CONNECT ${formatAuthority({ host, port })}`
  return `${method ?? ''} ${scheme}://${formatAuthority({ host, port }, scheme === 'http' ? 80 : 443)}${path ?? ''}`
}

function wasOf({ was, count }: Change, cwd: string): string {
  const granted = was.granted === 0 ? '' : was.granted === count ? ', and a reviewer allowed it' : `, and a reviewer allowed ${was.granted.toLocaleString('en')}`
  return `${placeOf(was.rule, was.code, cwd)}${granted}`
}

function becomesOf({ becomes }: Change, cwd: string): string {
  return `${becomes.code === 'allowed' ? '' : `${becomes.code}: `}${placeOf(becomes.rule, becomes.reason, cwd)}`
}

/** A rule and its line; what is decided without one says what it is. */
function placeOf(rule: RuleRef | undefined, otherwise: string, cwd: string): string {
  if (rule === undefined) return otherwise
  return rule.line === 0 ? rule.id : `${rule.id} at ${shownPath(rule.file, cwd)}:${rule.line}`
}

function missingWords(missing: Readonly<Record<Untold, number>>): string {
  return untoldWords.filter(({ what }) => missing[what] > 0).map(({ says }) => says).join(', ')
}
