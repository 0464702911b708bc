// What the tests of this room share: a subject, a decision, a journal in a folder of its own.
import { rmSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { EventSubject } from '../../src/audit/decision-event.ts'
import { decisionEvent } from '../../src/audit/decision-event.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import type { Journal, JournalOptions } from '../../src/audit/journal.ts'
import { openJournal } from '../../src/audit/journal.ts'
import type { JournalRecord } from '../../src/audit/record.ts'
import { parseLine } from '../../src/audit/record.ts'
import type { Redaction } from '../../src/audit/redaction.ts'
import { listSegments } from '../../src/audit/segments.ts'
import type { Clock } from '../../src/clock.ts'
import { systemClock } from '../../src/clock.ts'
import type { Decision } from '../../src/policy/decision.ts'
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

type Answer = Pick<Decision, 'verdict' | 'code' | 'reason' | 'rule' | 'revision' | 'monitored'>

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

export function decisionOf(requestId: string, session = 's-1'): AuditEvent {
  return decisionEvent({ ...subject, requestId, principal: { ...subject.principal, session } }, allowed, 'policy', redaction)
}

/** A folder that goes with the test. */
export function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-audit-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
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
  t.teardown(() => journal.close())
  return journal
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
