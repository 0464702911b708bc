// What belongs to people, sealed when it is written and opened when it is read.
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { approvalDecidedEvent, approvalRequestedEvent, grantRevokedEvent } from '../../src/audit/approval-events.ts'
import { cacheFilledEvent, cacheHitEvent, cacheMissedEvent } from '../../src/audit/cache-events.ts'
import { controlCalledEvent } from '../../src/audit/control-events.ts'
import { decisionEvent, type EventSubject } from '../../src/audit/decision-event.ts'
import { endedEvent } from '../../src/audit/ended-event.ts'
import type { AttributeValue, AuditEvent } from '../../src/audit/event.ts'
import { findRecords, journalRecords } from '../../src/audit/journal-query.ts'
import { keyFileName, keysDir, keysDirOf } from '../../src/audit/key-file.ts'
import { PersonKeys } from '../../src/audit/person-keys.ts'
import { personKeyOf } from '../../src/audit/personal.ts'
import { RecordOpener } from '../../src/audit/record-opener.ts'
import { encodeEvent, parseLine, sealLine, zeroHash, type JournalRecord } from '../../src/audit/record.ts'
import { contextOf, readSealed, SealingKey, unseal } from '../../src/audit/sealed-text.ts'
import { Sealer } from '../../src/audit/sealer.ts'
import { sessionEndedEvent, sessionSharedEvent, sessionStartedEvent } from '../../src/audit/session-events.ts'
import { verifyJournal } from '../../src/audit/verify.ts'
import { systemClock, type Clock } from '../../src/clock.ts'
import * as fc from '../support/property.ts'
import { allowed, anyText, approval, call, decided, denied, folder, grant, openTestJournal, redaction, session, subject } from './fixture.ts'

const owner = 'zoë.o’hara@example.com'
const principal = { session: 's-77', agent: 'codex', team: 'web', owner }
const asked: EventSubject = {
  ...subject, principal, clientAddress: '192.0.2.201', host: 'git.example.net', port: 80, method: 'GET', scheme: 'http', protocol: 'http',
  path: '/people/zoe/letters', query: 'draft=3', userAgent: 'letterwriter/4.2 (zoe)',
}
const tunnel: EventSubject = { ...asked, port: 443, method: 'CONNECT', scheme: 'https', protocol: 'https_connect', path: undefined, query: undefined }
const ended = { outcome: 'completed', status: 200, bytesFromClient: 1, bytesFromOrigin: 2, peerAddress: '198.51.100.7' } as const
const reader = { requestId: '01JD0000000000000000000007', session: 's-77', agent: 'codex', owner, place: { scheme: 'https', host: 'docs.example.net', port: 443, path: '/secret/shelf', query: 'q=1' } } as const
const owned = { ...approval, owner, clientAddress: '192.0.2.201' }
const words = 'zoe had a look at the shelf'

/** Every event in which something belongs to somebody, with the texts that must stand nowhere. */
const personal: readonly { readonly event: AuditEvent; readonly hidden: readonly string[] }[] = [
  { event: decisionEvent(tunnel, allowed, 'policy', redaction), hidden: ['192.0.2.201', 'letterwriter'] },
  { event: decisionEvent(asked, denied, 'policy', redaction), hidden: ['192.0.2.201', 'letterwriter', '/people/zoe/letters', 'draft'] },
  { event: decisionEvent(asked, { ...denied, code: 'request_not_allowed', reason: 'no rule allows GET /people/zoe/letters' }, 'policy', redaction), hidden: ['/people/zoe/letters'] },
  { event: decisionEvent(asked, { ...allowed, monitored: { verdict: 'deny', code: 'request_not_allowed', reason: 'no rule allows GET /people/zoe/letters', rule: undefined } }, 'policy', redaction), hidden: ['/people/zoe/letters'] },
  { event: decisionEvent(tunnel, { ...denied, code: 'approval_denied', reason: `a reviewer refused git.example.net: ${words}`, quoted: 'bob.reviewer' }, 'approval', redaction), hidden: [words, 'bob.reviewer', '192.0.2.201'] },
  { event: endedEvent(asked, ended, 12), hidden: ['192.0.2.201'] },
  { event: cacheHitEvent(reader, { ageS: 1, source: 'added', status: 200, bytes: 1 }, redaction), hidden: ['/secret/shelf'] },
  { event: cacheMissedEvent(reader, 'not-in-cache', redaction), hidden: ['/secret/shelf'] },
  { event: cacheFilledEvent({ place: reader.place, source: 'added', by: 'bob.reviewer', partition: 'common', status: 200, bytes: 1, digest: undefined, requestId: undefined, approvalId: undefined }, redaction), hidden: ['bob.reviewer', '/secret/shelf'] },
  { event: approvalRequestedEvent(owned, 'r'), hidden: ['192.0.2.201'] },
  { event: approvalDecidedEvent(owned, { ...decided, by: 'bob.reviewer', secondBy: 'carol.reviewer', comment: words }), hidden: ['bob.reviewer', 'carol.reviewer', words] },
  { event: grantRevokedEvent({ ...grant, by: 'bob.reviewer' }, 'carol.reviewer'), hidden: ['bob.reviewer', 'carol.reviewer'] },
  { event: sessionStartedEvent({ ...session, owner }, 'bob.reviewer'), hidden: ['bob.reviewer'] },
  { event: sessionSharedEvent({ ...session, owner }, { address: '192.0.2.201', uid: 70_123 }, { address: '192.0.2.202', uid: 70_124 }), hidden: ['192.0.2.201', '192.0.2.202', '70123', '70124'] },
  { event: sessionEndedEvent({ ...session, owner }, 'ended', 'bob.reviewer'), hidden: ['bob.reviewer'] },
  { event: controlCalledEvent({ ...call, actor: 'bob.reviewer', clientAddress: '192.0.2.9', detail: '/home/bob/pages.warc' }), hidden: ['bob.reviewer', '192.0.2.9', '/home/bob/pages.warc'] },
]

function keysIn(t: Test, dir: string, more: Partial<ConstructorParameters<typeof PersonKeys>[0]> = {}): PersonKeys {
  const keys = new PersonKeys({ dir: keysDir(dir), clock: systemClock, onFault: (error) => t.fail('the keys report no fault', { error }), ...more })
  keys.load()
  return keys
}

/** The record that a line of the event is, as it stands in the journal. */
function recordOf(event: AuditEvent, sealer?: Sealer): JournalRecord {
  const { record } = parseLine(sealLine(encodeEvent(event, sealer), 1, zeroHash, 'u', '2026-01-02T03:04:05.006Z', 'i').line.trimEnd())
  if (record === undefined) throw new Error('no record')
  return record
}

function segmentBytes(dir: string): string {
  return readdirSync(join(dir, 'journal')).map((name) => readFileSync(join(dir, 'journal', name), 'latin1')).join('')
}

t.test('nothing that is somebody’s stands in a segment, everybody who reads the journal sees it, and the chain holds', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir, { sealer: new Sealer(keysIn(t, dir)) })
  for (const { event } of personal) await journal.append(event)
  await journal.flush()
  const raw = segmentBytes(dir)
  const escapedOwner = JSON.stringify(owner).replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).slice(1, -1)
  for (const text of [owner, escapedOwner, ...personal.flatMap(({ hidden }) => hidden)]) t.notOk(raw.includes(text), text)
  for (const text of ['git.example.net', 's-77', '"codex"', 'denied_by_rule', '198.51.100.7']) t.ok(raw.includes(text), `${text} is searched for without a key`)
  const { records } = await findRecords(join(dir, 'journal'), 100, () => true)
  t.equal(records.length, personal.length)
  for (const [at, { event }] of personal.entries()) {
    t.strictSame({ ...records[at]?.attributes }, JSON.parse(JSON.stringify(event.attributes)), event.name)
    t.equal(records[at]?.body, event.body, event.name)
  }
  const read: JournalRecord[] = []
  for await (const record of journalRecords(join(dir, 'journal'))) read.push(record)
  t.strictSame(read, records)
  t.ok((await verifyJournal(join(dir, 'journal'))).ok)
})

t.test('without a sealer everything is written as it is, and nothing is sealed where nobody owns the session', async (t) => {
  const dir = folder(t)
  const sealer = new Sealer(keysIn(t, dir))
  for (const { event } of personal) t.strictSame({ ...recordOf(event).attributes }, JSON.parse(JSON.stringify(event.attributes)), event.name)
  const nobodys = { ...asked, principal: { ...principal, owner: undefined } }
  const anonymous = decisionEvent(nobodys, denied, 'policy', redaction)
  t.equal(encodeEvent(anonymous, sealer), encodeEvent(anonymous))
  const unknown = controlCalledEvent({ ...call, actor: 'none', kind: 'none', role: 'none' })
  t.equal(encodeEvent(unknown, sealer), encodeEvent(unknown), 'who could not be told has no key')
  t.throws(() => readdirSync(keysDir(dir)), { code: 'ENOENT' })
})

t.test('a destroyed key takes one person out of a record and leaves the others, at once and for every reader', async (t) => {
  const dir = folder(t)
  const keys = keysIn(t, dir)
  const sealer = new Sealer(keys)
  const opener = new RecordOpener(keysDir(dir))
  const event = approvalDecidedEvent(owned, { ...decided, by: 'bob.reviewer', secondBy: 'carol.reviewer', comment: words })
  const record = recordOf(event, sealer)
  t.match(opener.open(record).attributes, { 'user.name': owner, 'sallyport.reviewer.name': 'bob.reviewer', 'sallyport.reviewer.second': 'carol.reviewer', 'sallyport.comment': words })
  const ids = keys.destroy('Carol.Reviewer')
  t.equal(ids.length, 1, 'however the name is written')
  const without = opener.open(record)
  t.match(without.attributes, { 'user.name': owner, 'sallyport.reviewer.name': 'bob.reviewer', 'sallyport.erased': true })
  t.notOk('sallyport.reviewer.second' in without.attributes)
  t.notOk('sallyport.comment' in without.attributes)
  t.match(without.body, /^bob\.reviewer and \[erased\] allowed .*: \[erased\] \(approval/)
  t.strictSame(new RecordOpener(keysDir(dir)).open(record), without, 'another reader says the same')
  keys.forget(ids)
  t.strictSame(opener.open(record), without, 'and so when it is through')
  t.notMatch(readdirSync(keysDir(dir)).map((name) => readFileSync(join(keysDir(dir), name), 'utf8')).join(''), /carol/i)
  t.strictSame(keysIn(t, dir).unfinished(), [])
  keys.destroy('bob.reviewer')
  t.match(opener.open(record).attributes, { 'user.name': owner, 'sallyport.erased': true })
})

t.test('what an erased person had under way says nothing of it, and what it does anew has a new key', async (t) => {
  const dir = folder(t)
  const keys = keysIn(t, dir)
  const sealer = new Sealer(keys)
  const opener = new RecordOpener(keysDir(dir))
  const first = keys.keyOf(owner).id
  keys.forget(keys.destroy(owner))
  for (const event of [endedEvent(asked, ended, 12), decisionEvent(asked, denied, 'address', redaction), sessionEndedEvent({ ...session, owner }, 'ended', undefined)]) {
    const late = recordOf(event, sealer)
    t.equal(late.attributes['sallyport.erased'], true, event.name)
    t.notOk('sallyport.sealed' in late.attributes)
    t.notMatch(JSON.stringify(late), /192\.0\.2|letters|hara/)
    t.equal(opener.open(late).attributes['sallyport.erased'], true)
  }
  t.strictSame(keys.idsOf(owner), [], 'no key was made for them')
  const back = recordOf(sessionStartedEvent({ ...session, owner }, 'bob.reviewer'), sealer)
  t.equal(opener.open(back).attributes['user.name'], owner)
  t.equal(opener.open(recordOf(endedEvent(asked, ended, 12), sealer)).attributes['client.address'], '192.0.2.201', 'and so its later ones')
  t.not(keys.keyOf(owner).id, first)
})

t.test('what cannot be opened is said to be unreadable, and never thrown', async (t) => {
  const dir = folder(t)
  const keys = keysIn(t, dir)
  const record = recordOf(decisionEvent(asked, denied, 'policy', redaction), new Sealer(keys))
  const { id } = keys.keyOf(owner)
  const texts = record.attributes['sallyport.sealed']
  if (!Array.isArray(texts)) throw new Error('nothing is sealed')
  const opened = (sealed: unknown, more: Readonly<Record<string, AttributeValue>> = {}, opener = new RecordOpener(keysDir(dir))): JournalRecord =>
    opener.open({ ...record, attributes: { ...record.attributes, ...more, 'sallyport.sealed': sealed as AttributeValue } })
  t.equal(opened(texts).attributes['sallyport.unreadable'], undefined)
  const [one = '', two = ''] = texts.map(String)
  const flipped = `${two.slice(0, -3)}${two.at(-3) === 'A' ? 'B' : 'A'}${two.slice(-2)}`
  const cases: readonly (readonly [string, unknown, Readonly<Record<string, AttributeValue>>?])[] = [
    ['cut', [one, two.slice(0, -9)]], ['a changed byte', [one, flipped]], ['another form', [one, 'v9.x.y']], ['no text', [one, 7]], ['nothing', ''],
    ['the text of another exchange', [one, two], { 'sallyport.request.id': '01JD0000000000000000000099' }], ['of another session', [one, two], { 'session.id': 's-78' }],
    ['an unknown key', [one.replace(id, 'z'.repeat(26).replaceAll('z', '0')), two]],
  ]
  for (const [what, sealed, more] of cases) {
    const { attributes } = opened(sealed, more)
    t.equal(attributes['sallyport.unreadable'], true, what)
    t.notOk('sallyport.erased' in attributes, what)
    t.equal(attributes['server.address'], 'git.example.net', what)
  }
  const path = join(keysDir(dir), keyFileName(id))
  const text = readFileSync(path, 'utf8')
  writeFileSync(path, text.replace(/"key":"./, '"key":"x'))
  t.equal(opened(texts).attributes['sallyport.unreadable'], true, 'a key file that is damaged')
  rmSync(path)
  t.equal(opened(texts).attributes['sallyport.unreadable'], true, 'a key file that is gone')
  t.equal(opened(texts, {}, new RecordOpener(join(dir, 'nowhere'))).attributes['sallyport.unreadable'], true, 'no keys at all')
})

t.test('what is sealed never speaks for what stands in the clear', async (t) => {
  const dir = folder(t)
  const keys = keysIn(t, dir)
  const record = recordOf(decisionEvent(tunnel, denied, 'policy', redaction), new Sealer(keys))
  const forged = keys.keyOf(owner).seal('"server.address":"good.example","user.name":"x"', 'own', contextOf(record.attributes, 'own'))
  const { attributes } = new RecordOpener(keysDir(dir)).open({ ...record, attributes: { ...record.attributes, 'sallyport.sealed': [forged] } })
  t.equal(attributes['server.address'], 'git.example.net')
  t.equal(attributes['user.name'], 'x')
})

t.test('whatever is sealed opens to itself, and in no other place or under no other key', async () => {
  const key = randomBytes(32)
  const id = '0123456789abcdefghijklmnop'
  const sealing = new SealingKey(id, key)
  const anyValue = fc.oneof(anyText, fc.boolean(), fc.integer(), fc.array(anyText, { maxLength: 3 }))
  fc.assert(fc.property(fc.dictionary(fc.stringMatching(/^[a-z.]{1,12}$/), anyValue, { maxKeys: 5 }), anyText, fc.constantFrom('own' as const, 'session' as const), (attributes, context, bound) => {
    const json = JSON.stringify(attributes).slice(1, -1).replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    const sealed = readSealed(sealing.seal(json, bound, context))
    if (sealed === undefined) return false
    const same = JSON.stringify(unseal(sealed, context, key)) === JSON.stringify({ ...attributes })
    const { data } = sealed
    const changed = { ...sealed, data: Buffer.from(data.map((byte, at) => (at === data.length >> 1 ? byte ^ 1 : byte))) }
    return same && unseal(sealed, `${context}!`, key) === undefined && unseal(sealed, context, randomBytes(32)) === undefined
      && unseal(changed, context, key) === undefined && unseal({ ...sealed, bound: bound === 'own' ? 'session' : 'own' }, context, key) === undefined
  }), { numRuns: 200 })
  fc.assert(fc.property(fc.oneof(anyText, fc.stringMatching(/^v1[so]\.[0-9a-v]{26}\.[\w-]{51,90}$/)), anyText, (text, context) => {
    const sealed = readSealed(text)
    return sealed === undefined || unseal(sealed, context, key) === undefined
  }), { numRuns: 200 })
})

t.test('no part of a key stream seals twice, however long the texts are, and no two processes share one', async (t) => {
  const key = randomBytes(32)
  const id = '0123456789abcdefghijklmnop'
  const seen = new Map<string, number>()
  for (const sealing of [new SealingKey(id, key), new SealingKey(id, key)]) {
    for (const length of [1, 15, 16, 17, 4000, 4096, 4097, 9000, 3, 100]) {
      const text = `"a":"${'x'.repeat(length)}"`
      const sealed = readSealed(sealing.seal(text, 'own', 'c'))
      if (sealed === undefined) throw new Error('nothing is sealed')
      t.strictSame(unseal(sealed, 'c', key), { a: 'x'.repeat(length) })
      const salt = sealed.data.toString('hex', 0, 16)
      const block = sealed.data.readUIntBE(16, 6)
      t.ok(block >= (seen.get(salt) ?? 0), `block ${block}`)
      seen.set(salt, block + Math.ceil(text.length / 16))
    }
  }
  t.equal(seen.size, 2)
})

t.test('a key is on the disk before anything is sealed with it, for its owner alone, and is read again by the next process', async (t) => {
  const dir = folder(t)
  const keys = keysIn(t, dir)
  const { id } = keys.keyOf(owner)
  t.equal(keys.keyOf(owner).id, id)
  t.equal(keys.keyOf(` ${owner.toUpperCase()} `).id, id, 'one person, however the name is written')
  t.not(keys.keyOf('bob').id, id)
  const found = readdirSync(keysDir(dir))
  t.equal(found.length, 2)
  t.ok(found.every((name) => /^[0-9a-v]{26}\.key$/.test(name)), 'no name is in the name of a file')
  t.equal(statMode(keysDir(dir)), 0o700)
  t.equal(statMode(join(keysDir(dir), keyFileName(id))), 0o600)
  t.equal(keysIn(t, dir).keyOf(owner).id, id)
  t.equal(keysDirOf(join(dir, 'journal')), keysDir(dir))
  t.equal(personKeyOf('  ﬁona '), 'fiona')
})

t.test('where no key can be made nothing is journaled of that person, and all else is', async (t) => {
  const dir = folder(t)
  const faults: unknown[] = []
  writeFileSync(keysDir(dir), 'a file where the folder should be')
  const keys = new PersonKeys({ dir: keysDir(dir), clock: systemClock, onFault: (error) => faults.push(error) })
  const journal = await openTestJournal(t, dir, { sealer: new Sealer(keys) })
  await t.rejects(journal.append(decisionEvent(asked, denied, 'policy', redaction)), { code: 'audit_unavailable' })
  t.ok(faults.length > 0, 'the operator hears why')
  await journal.append(decisionEvent({ ...asked, principal: { ...principal, owner: undefined } }, denied, 'policy', redaction))
  t.equal(journal.lastSeq, 1)
  t.equal(journal.state(), 'ok')
  rmSync(keysDir(dir))
  await journal.append(decisionEvent(asked, denied, 'policy', redaction))
  t.equal(journal.lastSeq, 2, 'and it goes on by itself')
})

t.test('a file that is no key is told of, and a key that somebody takes away seals nothing more', async (t) => {
  const dir = folder(t)
  const faults: string[] = []
  const time = { wall: 0, mono: 0 }
  const clock: Clock = { now: () => time.wall, monotonic: () => time.mono }
  const onFault = (error: unknown): void => void faults.push(String(error))
  mkdirSync(keysDir(dir))
  writeFileSync(join(keysDir(dir), keyFileName('0'.repeat(26))), '{"v":1,"id":')
  writeFileSync(join(keysDir(dir), `${'1'.repeat(26)}.tmp`), '{"v":1,"person":"somebody"}')
  const keys = keysIn(t, dir, { onFault, clock })
  t.match(faults, [/0{26}\.key` cannot be read/])
  t.notOk(readdirSync(keysDir(dir)).some((name) => name.endsWith('.tmp')), 'a draft that a crash left is removed, and its name with it')
  const { id } = keys.keyOf(owner)
  time.mono += 2000
  t.equal(keys.keyOf(owner).id, id)
  rmSync(join(keysDir(dir), keyFileName(id)))
  chmodSync(keysDir(dir), 0o700)
  time.mono += 2000
  t.not(keys.keyOf(owner).id, id, 'nobody could open it after the next start')
  t.equal(faults.length, 2)
  t.match(faults[1], /is gone/)
})

t.test('an erasure that a crash cut short is known at the next start, and done again', async (t) => {
  const dir = folder(t)
  const keys = keysIn(t, dir)
  keys.keyOf(owner)
  const [id = ''] = keys.destroy(owner)
  const next = keysIn(t, dir)
  t.strictSame(next.unfinished(), [owner])
  t.strictSame(next.destroy(owner), [id], 'the same key')
  next.forget([id])
  next.forget([id])
  t.strictSame(keysIn(t, dir).unfinished(), [])
  const other = keysIn(t, dir)
  t.equal(other.destroy('who was never here').length, 1, 'who has no key is remembered while it lasts')
  t.strictSame(keysIn(t, dir).unfinished(), ['who was never here'])
})

function statMode(path: string): number {
  return statSync(path).mode & 0o777
}
