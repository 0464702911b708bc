// `[[network.limits]]`: how much one session may ask, and how many new names it may reach, by agent and team. Of
// all limits that cover a session the strictest number counts, whichever file says it. A limit never widens what
// the settings of the process say.
import type { Principal } from './facts.ts'
import { matchGlob } from './glob.ts'
import type { LimitRule, Policy } from './policy.ts'
import type { Path } from './positions.ts'
import type { SourceReader } from './problem.ts'
import type { TableReader } from './table-reader.ts'

/** What policy leaves to one session; Infinity: policy does not say. */
export interface Limits {
  /** open questions */
  readonly openApprovals: number
  /** new questions in a minute */
  readonly approvalsPerMinute: number
  /** new names below one wildcard-allowed domain in a minute */
  readonly newNamesPerMinute: number
}

export interface DraftLimit extends LimitRule {
  readonly at: Path
}

interface DraftFile {
  readonly file: SourceReader
  readonly limits: readonly DraftLimit[]
}

const numbers = [
  ['open_approvals', 'openApprovals'],
  ['approvals_per_minute', 'approvalsPerMinute'],
  ['new_names_per_minute', 'newNamesPerMinute'],
] as const
export const limitKeys: readonly string[] = ['agents', 'teams', ...numbers.map(([key]) => key)]

/** For where policy has nothing to say. */
export const unlimited: Limits = Object.freeze({ openApprovals: Infinity, approvalsPerMinute: Infinity, newNamesPerMinute: Infinity })

// asked for at every question and every name below a wildcard, while a session's principal stays the same object
const known = new WeakMap<Policy, WeakMap<Principal, Limits>>()

/** Reads the `[[network.limits]]` of one file. */
export function readLimits(network: TableReader): readonly DraftLimit[] {
  return (network.tables('limits') ?? []).map((table) => {
    table.rejectUnknown(limitKeys, 'a limit')
    if (!numbers.some(([key]) => table.has(key))) {
      table.file.error(table.path, `a limit without a number: ${numbers.map(([key]) => `\`${key}\``).join(', ')}, one of them at least`, 'key')
    }
    return {
      at: table.path,
      agents: readNames(table, 'agents'),
      teams: readNames(table, 'teams'),
      openApprovals: table.count('open_approvals'),
      approvalsPerMinute: table.count('approvals_per_minute'),
      newNamesPerMinute: table.count('new_names_per_minute'),
    }
  })
}

/** An empty list would turn a limit for some into one for nobody. */
function readNames(table: TableReader, key: string): readonly string[] | undefined {
  const names = table.strings(key)
  if (table.isEmptyArray(key)) table.file.error(table.at(key), `\`${key}\` is empty, so the limit covers nobody: leave it out to cover all`)
  names?.forEach((name, i) => {
    if (name === '') table.file.error(table.at(key, i), `nobody has an empty name: write \`*\` to cover all`)
  })
  return names
}

/** The limits of all files together. */
export function mergeLimits(drafts: readonly DraftFile[]): readonly LimitRule[] {
  return drafts.flatMap(({ limits }) => limits.map(({ at: _at, ...limit }) => limit))
}

/** Warns of every number that another limit for the same agents and teams, or for more, is below. */
export function warnOfIdleLimits(drafts: readonly DraftFile[]): void {
  const all = drafts.flatMap(({ file, limits }) => limits.map((limit) => ({ file, limit })))
  for (const { file, limit } of all) {
    for (const [key, name] of numbers) {
      const number = limit[name]
      if (number === undefined) continue
      const stricter = all.find(({ limit: other }) => (other[name] ?? Infinity) < number && coversAll(other.agents, limit.agents) && coversAll(other.teams, limit.teams))
      if (stricter === undefined) continue
      const place = `${stricter.file.source.path}:${stricter.file.line([...stricter.limit.at, key])}`
      file.warning([...limit.at, key], `\`${key} = ${number}\` has no effect: ${place} says ${stricter.limit[name]} for all whom it covers`)
    }
  }
}

/** Whether whoever the second list names is named by the first; for sure, not perhaps. */
function coversAll(wide: readonly string[] | undefined, narrow: readonly string[] | undefined): boolean {
  if (wide === undefined) return true
  // a `?` would take a star for one character
  return narrow?.every((name) => wide.some((other) => other === name || (!other.includes('?') && matchGlob(other, name)))) === true
}

/** What the policy leaves to the session of this principal. */
export function limitsFor(policy: Policy | undefined, principal: Principal): Limits {
  if (policy === undefined || policy.limits.length === 0) return unlimited
  let ofPolicy = known.get(policy)
  if (ofPolicy === undefined) known.set(policy, (ofPolicy = new WeakMap()))
  let limits = ofPolicy.get(principal)
  if (limits === undefined) ofPolicy.set(principal, (limits = strictestFor(policy.limits, principal)))
  return limits
}

function strictestFor(rules: readonly LimitRule[], principal: Principal): Limits {
  let { openApprovals, approvalsPerMinute, newNamesPerMinute } = unlimited
  for (const rule of rules) {
    if (!isCovered(rule, principal)) continue
    openApprovals = Math.min(openApprovals, rule.openApprovals ?? Infinity)
    approvalsPerMinute = Math.min(approvalsPerMinute, rule.approvalsPerMinute ?? Infinity)
    newNamesPerMinute = Math.min(newNamesPerMinute, rule.newNamesPerMinute ?? Infinity)
  }
  return { openApprovals, approvalsPerMinute, newNamesPerMinute }
}

/** As for a rule: where both are written, agent and team both have to be named. */
function isCovered({ agents, teams }: LimitRule, { agent, team }: Principal): boolean {
  return isNamed(agents, agent) && isNamed(teams, team)
}

function isNamed(names: readonly string[] | undefined, name: string | undefined): boolean {
  return names === undefined || (name !== undefined && names.some((each) => matchGlob(each, name)))
}
