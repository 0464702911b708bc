// What the journal suggests to whoever writes the policy: hosts that reviewers always allow or always refuse, rules that
// decide nothing, questions that keep coming back. Pure. It proposes text for people to read and changes nothing; what it
// proposes is exact hosts, never a pattern that would open more than was asked about.
import type { PolicyEntry } from '../policy/entries.ts'
import { uriHost } from '../target/host.ts'
import type { HostQuestions, Report, RuleHits } from './report.ts'

export interface Suggestions {
  /** people said yes each time, at least `minAnswers` times */
  readonly alwaysAllowed: readonly HostQuestions[]
  readonly alwaysDenied: readonly HostQuestions[]
  /** asked about at least `minAsked` times, and neither of the above */
  readonly comingBack: readonly HostQuestions[]
  /** of the policy that was given, what decided nothing; undefined where none was given */
  readonly neverHit: readonly PolicyEntry[] | undefined
}

export const minAnswers = 2
const minAsked = 3

export function suggest(report: Report, entries: readonly PolicyEntry[] | undefined): Suggestions {
  const { byHost } = report.questions
  const alwaysAllowed = byHost.filter(({ allowedByPeople, denied }) => allowedByPeople >= minAnswers && denied === 0)
  const alwaysDenied = byHost.filter(({ allowed, denied }) => denied >= minAnswers && allowed === 0)
  const settled = new Set([...alwaysAllowed, ...alwaysDenied])
  return {
    alwaysAllowed,
    alwaysDenied,
    comingBack: byHost.filter((each) => each.asked >= minAsked && !settled.has(each)),
    neverHit: entries === undefined ? undefined : neverHit(entries, report.rules),
  }
}

/** Files are told apart by their names alone: the proxy may have been started elsewhere. */
function neverHit(entries: readonly PolicyEntry[], rules: readonly RuleHits[]): readonly PolicyEntry[] {
  const hit = new Set(rules.map(({ id, file, pattern }) => keyOf(id, file, pattern)))
  const hitRules = new Set(rules.map(({ id, file }) => keyOf(id, file, '')))
  return entries.filter(({ id, file, pattern }) => (pattern === '' ? !hitRules.has(keyOf(id, file, '')) : !hit.has(keyOf(id, file, pattern))))
}

function keyOf(id: string, file: string, pattern: string): string {
  return JSON.stringify([id, file.slice(file.lastIndexOf('/') + 1), pattern])
}

/** A file for `policies/` with what people always answered; undefined where there is nothing to propose. */
export function proposedPolicy({ alwaysAllowed, alwaysDenied }: Suggestions, from: string, to: string): string | undefined {
  if (alwaysAllowed.length === 0 && alwaysDenied.length === 0) return undefined
  const lists = [
    list('allowed_domains', alwaysAllowed.map((each) => ({ pattern: `${uriHost(each.host)}:${each.port}`, comment: commentOf('allowed', each.allowed, each.agents) }))),
    // a deny covers every port
    list('denied_domains', alwaysDenied.map((each) => ({ pattern: uriHost(each.host), comment: commentOf('refused', each.denied, each.agents) }))),
  ]
  return `# what reviewers answered each time from ${from} to ${to}; read it before it decides\n[network]\n${lists.join('')}`
}

interface Line {
  readonly pattern: string
  readonly comment: string
}

function list(key: string, lines: readonly Line[]): string {
  if (lines.length === 0) return ''
  const first = new Map(lines.toReversed().map((line) => [line.pattern, line.comment]))
  return `${key} = [\n${[...first].toReversed().map(([pattern, comment]) => `  ${JSON.stringify(pattern)},  # ${comment}\n`).join('')}]\n`
}

function commentOf(answer: 'allowed' | 'refused', count: number, agents: readonly string[]): string {
  return `${answer} ${count} times, for ${agents.map(plain).join(', ')}`
}

/** What stands in a comment: an agent's name is its own choice, and ends no line. */
function plain(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 64)
}
