// `[network.approvals]`: who may answer what policy asks, and with how much care. Each file may only tighten
// what the others say: an owner's terms are those that every file grants, the rest are unions.
import type { Host } from '../target/host.ts'
import type { GrantTerm } from './grant.ts'
import { scopeCovers } from './pattern.ts'
import { patternsFor, PatternIndexBuilder } from './pattern-index.ts'
import { commentCases } from './policy.ts'
import type { ApprovalRules, CommentCase } from './policy.ts'
import { readHosts } from './rule-schema.ts'
import type { DraftPattern } from './rule-schema.ts'
import type { TableReader } from './table-reader.ts'

/** The table of one file. */
export interface DraftApprovals {
  /** undefined: the file does not say */
  readonly ownerMay: readonly GrantTerm[] | undefined
  readonly fourEyes: readonly DraftPattern[]
  readonly commentRequired: readonly CommentCase[]
}

export const approvalKeys: readonly string[] = ['owner_may', 'four_eyes', 'comment_required']
/** Terms that can be an owner's: nobody opens a host for good to an agent of its own. */
export const ownerTerms: readonly GrantTerm[] = ['once', 'session', 'until']

/** Reads `[network.approvals]`; undefined when the file has none. */
export function readApprovals(network: TableReader): DraftApprovals | undefined {
  const table = network.table('approvals')
  if (table === undefined) return undefined
  table.rejectUnknown(approvalKeys, `[${table.path.join('.')}]`)
  const fourEyes = readHosts(table, 'four_eyes') ?? []
  for (const { at, ports } of fourEyes) {
    if (ports !== undefined) table.file.notice(at, '`four_eyes` covers every port of the host, also those not written')
  }
  return {
    ownerMay: table.words('owner_may', ownerTerms),
    fourEyes,
    commentRequired: table.words('comment_required', commentCases) ?? [],
  }
}

/** The tables of all files together. No file says what an owner may: it may nothing. */
export function mergeApprovals(drafts: readonly DraftApprovals[]): ApprovalRules {
  const stated = drafts.flatMap(({ ownerMay }) => (ownerMay === undefined ? [] : [ownerMay]))
  const fourEyes = new PatternIndexBuilder()
  for (const { scope, text, line } of drafts.flatMap((draft) => draft.fourEyes)) {
    fourEyes.add(scope, { rule: 0, text, line, ports: 'every' })
  }
  return {
    ownerMay: stated.length === 0 ? [] : ownerTerms.filter((term) => stated.every((terms) => terms.includes(term))),
    fourEyes: fourEyes.finish(),
    commentRequired: commentCases.filter((each) => drafts.some(({ commentRequired }) => commentRequired.includes(each))),
  }
}

/**
 * Whether an allow of the host needs two people; with `subdomains` also when only a name below it does.
 * Walks the whole list for `subdomains`: it is for decisions of people, not for requests.
 */
export function needsFourEyes({ fourEyes }: ApprovalRules, host: Host, subdomains: boolean): boolean {
  if (patternsFor(fourEyes, host).length > 0) return true
  if (!subdomains || host.kind !== 'name') return false
  const isBelow = (name: string): boolean => scopeCovers({ kind: 'below', name: host.text }, name)
  for (const name of fourEyes.exact.keys()) if (isBelow(name)) return true
  for (const name of fourEyes.below.keys()) if (isBelow(name) || name === host.text) return true
  for (const tail of fourEyes.globs.keys()) {
    // a glob of the same family may cover a name below
    if (tail === '' || tail === host.text || isBelow(tail) || scopeCovers({ kind: 'below', name: tail }, host.text)) return true
  }
  return false
}
