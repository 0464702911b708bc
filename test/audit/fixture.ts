// What the tests of this room share: a subject, a decision, a journal in a folder of its own.
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { rmSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { ApprovalOutcome, ApprovalSubject } from '../../src/audit/approval-events.ts'
import type { ControlCall } from '../../src/audit/control-events.ts'
import type { Answer, EventSubject } from '../../src/audit/decision-event.ts'
import { decisionEvent } from '../../src/audit/decision-event.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import type { Journal, JournalOptions } from '../../src/audit/journal.ts'
import { openJournal } from '../../src/audit/journal.ts'
import type { JournalRecord } from '../../src/audit/record.ts'
import { parseLine } from '../../src/audit/record.ts'
import type { Redaction } from '../../src/audit/redaction.ts'
import { listSegments } from '../../src/audit/segments.ts'
import type { PublicKey, SigningKey } from '../../src/audit/signing-key.ts'
import type { SessionSubject } from '../../src/audit/session-events.ts'
import type { Clock } from '../../src/clock.ts'
import { systemClock } from '../../src/clock.ts'
import type { Grant } from '../../src/policy/grant.ts'
import { keepLogs } from '../support/kept-logs.ts'
import * as fc from '../support/property.ts'

/** Any UTF-16, unpaired surrogates and controls too. */
export const anyText = fc.array(fc.oneof(fc.nat({ max: 0xff }), fc.nat({ max: 0xffff })), { maxLength: 200 }).map((units) => String.fromCharCode(...units))

export const redaction: Redaction = { url: 'path', key: new Uint8Array(32).fill(7) }

export const subject: EventSubject = {
  requestId: '01JD0000000000000000000000',
  principal: { session: 's-1', agent: 'codex', team: undefined, owner: 'alice' },
  advisory: false,
  clientAddress: '127.0.0.1',
  host: 'api.example.com',
  port: 443,
  method: 'CONNECT',
  scheme: 'https',
  protocol: 'https_connect',
  path: undefined,
  query: undefined,
  userAgent: 'curl/8.5.0',
  mode: 'enforce',
}

export const allowed: Answer = {
  verdict: 'allow',
  code: 'allowed',
  reason: 'api.example.com is allowed',
  rule: { id: 'allowed_domains', pattern: '*.example.com', file: 'policies/10-base.toml', line: 4 },
  revision: '0123456789ab',
  monitored: undefined,
}

export const denied: Answer = {
  ...allowed,
  verdict: 'deny',
  code: 'denied_by_rule',
  reason: 'pastebin.com is on the denied list',
  rule: { id: 'denied_domains', pattern: 'pastebin.com', file: 'policies/10-base.toml', line: 9 },
}

export const approval: ApprovalSubject = {
  id: '01JD00000000000000000000AP',
  kind: 'host',
  session: 's1a2b3c4d5e6f',
  agent: 'codex',
  owner: 'alice@example.com',
  team: 'web',
  scheme: 'https',
  host: 'files.example.net',
  port: 443,
  method: 'CONNECT',
  reason: 'no rule allows files.example.net, and unknown hosts are asked about',
  rule: { id: 'unknown', pattern: '*', file: 'policies/10-base.toml', line: 3 },
  clientAddress: '127.0.0.1',
  advisory: false,
  attempts: 1,
  version: 1,
}

export const decided: ApprovalOutcome = {
  verdict: 'allow',
  term: 'until',
  by: 'bob',
  byKind: 'person',
  secondBy: 'carol',
  comment: 'the data of the spring report',
  grantId: '01JD00000000000000000000GR',
  isComplete: true,
  isFetch: false,
  waitedMs: 41_250.4,
  subdomains: false,
  allPorts: false,
  who: 'session',
  untilMs: Date.UTC(2026, 0, 2, 11, 4, 5),
}

export const grant: Grant = {
  id: '01JD00000000000000000000GR',
  approvalId: approval.id,
  verdict: 'allow',
  term: 'until',
  who: 'session',
  holder: approval.session,
  scheme: 'https',
  host: approval.host,
  subdomains: false,
  port: 443,
  requestDigest: undefined,
  by: 'bob',
  createdMs: Date.UTC(2026, 0, 2, 3, 4, 5),
  expiresMs: Date.UTC(2026, 0, 2, 11, 4, 5),
  comment: undefined,
}

export const session: SessionSubject = {
  id: approval.session, agent: approval.agent, owner: approval.owner, team: approval.team, expiresMs: Date.UTC(2026, 0, 3, 3, 4, 5), unattended: false,
  trustsCa: true, webFetch: false, record: false, hasSocket: true, isIsolated: false,
}

export const call: ControlCall = {
  actor: 'bob', kind: 'person', role: 'reviewer', method: 'POST', route: '/v1/approvals/{id}/decision', status: 200,
  requestId: '01JD0000000000000000000001', clientAddress: '127.0.0.1', subjectId: approval.id,
}

export function decisionOf(requestId: string, sessionId = 's-1'): AuditEvent {
  return decisionEvent({ ...subject, requestId, principal: { ...subject.principal, session: sessionId } }, allowed, 'policy', redaction)
}

/** A folder that goes with the test. */
export function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-audit-'))
  t.teardown(() => {
    keepLogs(dir)
    rmSync(dir, { recursive: true, force: true })
  })
  return dir
}

export async function openTestJournal(t: Test, dir: string, options: Partial<JournalOptions> = {}): Promise<Journal> {
  const journal = await openJournal({
    dir: join(dir, 'journal'),
    instanceId: 'instance-1',
    clock: systemClock,
    segmentBytes: 1024 * 1024,
    maxBytes: 64 * 1024 * 1024,
    maxAgeMs: 30 * 86_400_000,
    onFault: (error) => t.fail('the journal reports no fault', { error }),
    syncIntervalMs: 0,
    ...options,
  })
  // a test that wants its close to fail has seen that
  t.teardown(() => journal.close().catch(() => undefined))
  return journal
}

/** A key that signs checkpoints, in memory. */
export function testSigner(): SigningKey & PublicKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const keyId = createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('hex').slice(0, 16)
  return { keyId, isNew: false, key: publicKey, sign: (text) => sign(null, Buffer.from(text), privateKey).toString('base64') }
}

/** Every whole record of a journal, in order; a line that is none fails the test. */
export async function readRecords(t: Test, dir: string): Promise<JournalRecord[]> {
  const records: JournalRecord[] = []
  for (const { path } of await listSegments(join(dir, 'journal'))) {
    const lines = readIfThere(path).split('\n')
    lines.pop()
    for (const line of lines) {
      const { record, fault } = parseLine(line)
      if (record === undefined) t.fail(`${path}: ${fault}`)
      else records.push(record)
    }
  }
  return records
}

/** Retention may remove a segment after it was listed. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}

export interface TestClock extends Clock {
  advance(ms: number): void
}

/** A clock that stands still until it is moved. */
export function testClock(startMs = Date.UTC(2026, 0, 2, 3, 4, 5)): TestClock {
  const state = { ms: 0 }
  return { now: () => startMs + state.ms, monotonic: () => state.ms, advance: (ms) => void (state.ms += ms) }
}

/** Resolves when `condition` holds; tap's own time limit ends what never does. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5))
}
