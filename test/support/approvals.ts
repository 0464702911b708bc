// Questions and answers as the tests of the approvals room need them: one of each, with what a test changes.
import type { Answer, Approval } from '../../src/approvals/approval.ts'

export function anApproval(more: Partial<Approval> = {}): Approval {
  return {
    id: '01JAPPROVAL0000000000000000', version: 1, state: 'pending', kind: 'host', session: 's000000000001', agent: 'codex', owner: undefined, team: undefined,
    scheme: 'https', host: 'www.shop.example', port: 443, method: undefined, url: undefined, requestDigest: undefined, upgrade: undefined,
    reason: 'www.shop.example is named by no rule', rule: undefined, isReview: false, statedReason: undefined, userAgent: 'curl/8', clientAddress: '127.0.0.1',
    advisory: false, attempts: 1, waiting: 1, firstSeenMs: 0, lastSeenMs: 0, expiresMs: 600_000, snoozedUntilMs: undefined, firstYes: undefined, decision: undefined,
    ...more,
  }
}

export function anAnswer(more: Partial<Answer> = {}): Answer {
  return { verdict: 'allow', term: 'once', untilMs: undefined, subdomains: false, allPorts: false, who: 'session', comment: undefined, version: 1, ...more }
}
