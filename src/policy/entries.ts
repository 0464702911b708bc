// What a policy is made of, one by one: its rules, and the entries of its lists. For people who ask which of them do
// anything. Pure; feeds, which are not written by hand, are left out.
import { ruleAt, writtenEntry } from './hits.ts'
import { entryAt, entryOffsets } from './name-table.ts'
import type { NameList, Policy, Rule } from './policy.ts'

export interface PolicyEntry {
  readonly id: string
  /** as written; empty for a rule, whose patterns decide together */
  readonly pattern: string
  readonly file: string
  /** 1-based */
  readonly line: number
}

/** At most `limit` of them. */
export function policyEntries(policy: Policy, limit: number): readonly PolicyEntry[] {
  const entries: PolicyEntry[] = policy.rules.filter(({ kind }) => kind === 'rule').map(({ id, file, line }) => ({ id, pattern: '', file, line }))
  for (const { rule: at, text, line } of policy.index.patterns) {
    const rule = policy.rules[at]
    if (rule?.kind === 'list') entries.push(entryOf(rule, text, line))
  }
  for (const list of [policy.lists.deny, policy.lists.ask, policy.lists.allow]) pushEntries(policy, list, entries, limit)
  return entries.slice(0, limit)
}

function pushEntries(policy: Policy, list: NameList, entries: PolicyEntry[], limit: number): void {
  for (const offset of entryOffsets(list.table)) {
    if (entries.length >= limit) return
    const rule = policy.rules[ruleAt(list, offset)]
    const { name, flags, line } = entryAt(list.table, offset)
    if (rule?.kind === 'list') entries.push(entryOf(rule, writtenEntry(name, flags), line))
  }
}

function entryOf({ id, file }: Rule, pattern: string, line: number): PolicyEntry {
  return { id, pattern, file, line }
}
