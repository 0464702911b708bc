// Texts that are remembered: an event must come out the same whether its parts were made before or not.
import t from 'tap'
import { decisionEvent, type Answer, type DecisionStage, type EventSubject } from '../../src/audit/decision-event.ts'
import { endedEvent, type Ending } from '../../src/audit/ended-event.ts'
import { encodeEvent } from '../../src/audit/record.ts'
import { placeOf, Slots } from '../../src/audit/slots.ts'
import { allowed, redaction, subject } from './fixture.ts'
import * as fc from '../support/property.ts'

t.test('a place holds the last that fell on it, and every text has one', async (t) => {
  const slots = new Slots<string>()
  fc.assert(fc.property(fc.string(), fc.nat(65_535), (text, number) => {
    const place = placeOf(text, number)
    slots.put(place, text)
    return Number.isInteger(place) && place >= 0 && place < 256 && slots.get(place) === text && place === placeOf(text, number)
  }))
  t.equal(new Slots<string>().get(0), undefined)
})

interface Told {
  readonly subject: EventSubject
  readonly answer: Answer
  readonly stage: DecisionStage
  readonly ending: Ending
}

/** Parts that differ in one thing alone, so that what is remembered of one fits another all but that. */
const pick = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values)
const rules = [undefined, { id: 'r', pattern: 'a.test', file: 'p.toml', line: 1 }, { id: 'q', pattern: 'a.test', file: 'p.toml', line: 1 }, { id: 'r', pattern: '*.test', file: 'p.toml', line: 1 }, { id: 'r', pattern: 'a.test', file: 'q.toml', line: 1 }, { id: 'r', pattern: 'a.test', file: 'p.toml', line: 2 }]
const principals = ['s-1', 's-2'].flatMap((session) => ['codex', 'other'].map((agent) => ({ session, agent, team: undefined, owner: undefined })))
const told: fc.Arbitrary<Told> = fc.record({
  subject: fc.record({
    requestId: pick('01JD0000000000000000000000', '01JD0000000000000000000001'), principal: pick(...principals), advisory: fc.boolean(), clientAddress: pick('127.0.0.1', '::1', ''),
    host: pick('a.test', 'b.test', 'u:p@a.test', 'a\u2028test'), port: pick(0, 80, 443), method: pick('GET', 'PUT', undefined), scheme: pick('http', 'https'), protocol: pick('http', 'https_connect'),
    path: pick(undefined, '/', '/secret', '/a.test'), query: pick(undefined, 'a=b'), userAgent: pick(undefined, 'curl/8.5.0', 'b"c'), mode: pick('enforce', 'monitor'),
  }),
  answer: fc.record({
    verdict: pick('allow', 'deny', 'ask'), code: pick('allowed', 'denied_by_rule', 'host_mismatch', 'internal_error'), reason: pick('a.test is known', 'b.test is known', 'Host is `u:p@a.test`', '/secret is not for a.test', 'token=abc', ''),
    rule: pick(...rules), revision: pick('0123456789ab', '0123456789ac'), monitored: pick(undefined, undefined, { verdict: 'deny', code: 'not_allowed', reason: 'a.test is not known', rule: undefined } as const),
  }, { requiredKeys: ['verdict', 'code', 'reason', 'rule', 'revision', 'monitored'] }),
  stage: pick('policy', 'approval', 'address', 'tls'),
  ending: fc.record({ outcome: pick('completed', 'refused', 'failed'), bytesFromClient: pick(0, 5), bytesFromOrigin: pick(0, 1024), status: pick(undefined, 200), peerAddress: pick(undefined, '127.0.0.1') }),
})

function textsOf({ subject: about, answer, stage, ending }: Told): readonly string[] {
  return [encodeEvent(decisionEvent(about, answer, stage, redaction)), encodeEvent(endedEvent(about, ending, 1.5))]
}

/** Nothing that `texts` says is remembered from this: hosts, reasons and all are others. */
function forget(): void {
  for (let at = 0; at < 4096; at++) textsOf({ subject: { ...subject, host: `h${at}.example`, port: at + 1 }, answer: { ...allowed, reason: `reason ${at}` }, stage: 'policy', ending: { outcome: 'completed', bytesFromClient: 0, bytesFromOrigin: 0 } })
}

t.test('what was told before changes nothing of what is told', async (t) => {
  const known = new Map<string, readonly string[]>()
  const samples = fc.sample(told, { numRuns: 60 })
  for (const each of samples) {
    forget()
    known.set(JSON.stringify(each), textsOf(each))
  }
  fc.assert(fc.property(fc.array(pick(...samples), { minLength: 5, maxLength: 40 }), (order) => {
    for (const each of order) t.strictSame(textsOf(each), known.get(JSON.stringify(each)))
  }), { numRuns: 100 })
})
