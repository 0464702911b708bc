// Proposals to the policy: kept from the answer for good until an admin accepts or rejects them. It writes no
// policy; whoever accepts does that first, so that an accepted proposal is always in the file.
import type { Clock } from '../clock.ts'
import { anonymousSession } from '../policy/facts.ts'
import type { Policy } from '../policy/policy.ts'
import { numberOf, optionalText, textOf } from '../store/store.ts'
import type { Row, Store } from '../store/store.ts'
import { formatHost } from '../target/host.ts'
import type { Answer, Approval } from './approval.ts'
import type { Proposal } from './desk.ts'
import { hostOf } from './question.ts'

export type NewProposal = Pick<Proposal, 'approvalId' | 'verdict' | 'pattern' | 'agent' | 'team' | 'by'>

export interface ProposalRegistryOptions {
  readonly store: Store
  readonly clock: Clock
  /** a new ULID */
  nextId(): string
}

/**
 * What an answer for good proposes; undefined where a host pattern could not say it: about one request or page, or below
 * `managed_allowed_domains_only`. It is for the agent that asked, or for its team where the answer says so; never
 * for everybody, but for the agent without credentials, which a rule by agent would shut out.
 */
export function proposalOf(approval: Approval, answer: Answer, by: string, policy: Pick<Policy, 'managedOnly'>): NewProposal | undefined {
  if (answer.term !== 'always' || approval.kind !== 'host') return undefined
  const { verdict } = answer
  if (verdict === 'allow' && policy.managedOnly) return undefined
  const { agent, team, session } = approval
  const isTeam = answer.who === 'team' && team !== undefined
  return {
    approvalId: approval.id,
    verdict,
    pattern: patternOf(approval, answer),
    agent: isTeam || session === anonymousSession ? undefined : agent,
    team: isTeam ? team : undefined,
    by,
  }
}

/** A deny covers every port; an allow the one that was asked about, since a pattern for all would name closed ones. */
function patternOf({ host, port }: Approval, { subdomains, verdict }: Answer): string {
  const name = `${subdomains ? '**.' : ''}${formatHost(hostOf(host))}`
  return verdict === 'deny' ? name : `${name}:${port}`
}

export class ProposalRegistry {
  readonly #options: ProposalRegistryOptions

  constructor(options: ProposalRegistryOptions) {
    this.#options = options
  }

  /** The same proposal that is open already is returned and not made twice. */
  add(proposal: NewProposal): Proposal {
    const { store, clock } = this.#options
    return store.transaction(() => {
      const { approvalId, verdict, pattern, agent, team, by } = proposal
      const same = store.get(
        'SELECT * FROM proposals WHERE state = \'open\' AND verdict = ? AND pattern = ? AND agent IS ? AND team IS ?',
        verdict, pattern, agent ?? null, team ?? null,
      )
      if (same !== undefined) return proposalFrom(same)
      const made: Proposal = { id: this.#options.nextId(), ...proposal, createdMs: clock.now(), state: 'open', decidedBy: undefined }
      store.run(
        'INSERT INTO proposals (id, approval_id, verdict, pattern, agent, team, made_by, created_ms, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, \'open\')',
        made.id, approvalId, verdict, pattern, agent ?? null, team ?? null, by, made.createdMs,
      )
      return made
    })
  }

  get(id: string): Proposal | undefined {
    const row = this.#options.store.get('SELECT * FROM proposals WHERE id = ?', id)
    return row === undefined ? undefined : proposalFrom(row)
  }

  /** Open ones first, then the newest; 500 at most. */
  list(): readonly Proposal[] {
    return this.#options.store.all('SELECT * FROM proposals ORDER BY state <> \'open\', id DESC LIMIT 500').map(proposalFrom)
  }

  /** The proposal as decided; undefined when there is none of this id that is open. The first to decide wins. */
  resolve(id: string, accept: boolean, by: string): Proposal | undefined {
    const { store, clock } = this.#options
    const changed = store.run(
      'UPDATE proposals SET state = ?, decided_by = ?, decided_ms = ? WHERE id = ? AND state = \'open\'',
      accept ? 'accepted' : 'rejected', by, clock.now(), id,
    )
    return changed === 0 ? undefined : this.get(id)
  }
}

function proposalFrom(row: Row): Proposal {
  return {
    id: textOf(row, 'id'),
    approvalId: textOf(row, 'approval_id'),
    verdict: oneOf(['allow', 'deny'], row, 'verdict'),
    pattern: textOf(row, 'pattern'),
    agent: optionalText(row, 'agent'),
    team: optionalText(row, 'team'),
    by: textOf(row, 'made_by'),
    createdMs: numberOf(row, 'created_ms'),
    state: oneOf(['open', 'accepted', 'rejected'], row, 'state'),
    decidedBy: optionalText(row, 'decided_by'),
  }
}

function oneOf<W extends string>(words: readonly W[], row: Row, column: string): W {
  const text = textOf(row, column)
  const found = words.find((word) => word === text)
  if (found === undefined) throw new Error(`column \`${column}\` holds an unknown word`)
  return found
}
