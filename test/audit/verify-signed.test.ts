// Every manipulation at every position of a small signed journal is found, and named where it begins.
import { cpSync, readFileSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { checkpointPath } from '../../src/audit/checkpoint-file.ts'
import { checkpointOf } from '../../src/audit/checkpoint.ts'
import { applyRepair, planRepair } from '../../src/audit/journal-repair.ts'
import { parseLine, sealLine, zeroHash } from '../../src/audit/record.ts'
import { verifyLines } from '../../src/audit/verify-lines.ts'
import { verifyJournal, type VerifyOptions, type VerifyResult } from '../../src/audit/verify.ts'
import { decisionOf, folder, openTestJournal, testClock, testSigner, until, readRecords } from './fixture.ts'

const signer = testSigner()
const checkpoints = { signer, intervalMs: 3_600_000 }
const keys: VerifyOptions = { keys: [signer] }

/** A journal of some segments, whole in memory. */
class Evidence {
  readonly dir: string
  readonly copies: string
  readonly names: readonly string[]
  readonly lines: readonly (readonly string[])[]

  constructor(dir: string) {
    this.dir = join(dir, 'journal')
    this.copies = readFileSync(checkpointPath(this.dir), 'latin1')
    this.names = readdirSync(this.dir).filter((name) => name.startsWith('segment-')).toSorted()
    this.lines = this.names.map((name) => readFileSync(join(this.dir, name), 'latin1').split('\n').slice(0, -1))
  }

  get all(): readonly string[] {
    return this.lines.flat()
  }

  get firstSeq(): number {
    return parseLine(this.all[0] ?? '').record?.seq ?? 0
  }

  /** What stands at a place of the whole, and in which segment. */
  places(): readonly { readonly segment: number; readonly at: number; readonly seq: number }[] {
    return this.lines.flatMap((lines, segment) => lines.map((_, at) => ({ segment, at, seq: this.firstSeq + this.lines.slice(0, segment).flat().length + at })))
  }

  /** Verifies the journal with some of its segments and its copies replaced, and puts everything back. */
  async with(segments: Readonly<Record<number, readonly string[] | undefined>>, copies: string | null = this.copies): Promise<VerifyResult> {
    for (const [at, lines] of Object.entries(segments)) {
      const path = join(this.dir, this.names[Number(at)] ?? '')
      if (lines === undefined) unlinkSync(path)
      else writeFileSync(path, lines.map((line) => `${line}\n`).join(''))
    }
    if (copies === null) unlinkSync(checkpointPath(this.dir))
    else if (copies !== this.copies) writeFileSync(checkpointPath(this.dir), copies)
    const result = await verifyJournal(this.dir, keys)
    for (const at of Object.keys(segments)) writeFileSync(join(this.dir, this.names[Number(at)] ?? ''), (this.lines[Number(at)] ?? []).map((line) => `${line}\n`).join(''))
    writeFileSync(checkpointPath(this.dir), this.copies)
    return result
  }

  /** The whole with two neighbours exchanged and every hash from there on made anew. */
  resealed(place: number): readonly (readonly string[])[] {
    const records = this.all.map((line) => JSON.parse(line) as { name: string; severity: string; body: string; attributes: object; uid: string; time: string; instance: string; seq: number; prev: string })
    const [one, other] = [records[place], records[place + 1]]
    if (one === undefined || other === undefined) throw new Error('no such place')
    const content = ({ name, severity, body, attributes }: typeof one): object => ({ name, severity, body, attributes })
    const [first, second] = [content(one), content(other)]
    Object.assign(one, second)
    Object.assign(other, first)
    let prev = records[0]?.prev ?? zeroHash
    const lines = records.map(({ name, severity, body, attributes, seq, uid, time, instance }) => {
      const { line, hash } = sealLine(`","name":"${name}","severity":"${severity}","body":${JSON.stringify(body)},"attributes":${JSON.stringify(attributes)}`, seq, prev, uid, time, instance)
      prev = hash
      return line.trimEnd()
    })
    let at = 0
    return this.lines.map((segment) => lines.slice(at, (at += segment.length)))
  }
}

const hourMs = 3_600_000

/** `isPruned`: its first segments have left. */
async function evidence(t: Test, isPruned: boolean): Promise<Evidence> {
  const dir = folder(t)
  const clock = testClock()
  const journal = await openTestJournal(t, dir, { checkpoints, clock, segmentBytes: 4500, maxAgeMs: hourMs })
  for (let at = 0; at < 7; at++) await journal.append(decisionOf(`r-${at}`))
  if (isPruned) {
    clock.advance(hourMs + 1)
    await journal.append(decisionOf('later'))
    await until(async () => ((await readRecords(t, dir))[0]?.seq ?? 1) > 1)
    for (let at = 0; at < 9; at++) await journal.append(decisionOf(`s-${at}`))
  }
  await journal.close()
  return new Evidence(dir)
}

const found = (t: Test, { ok, fault }: VerifyResult, from: number, to: number, what: string): void => {
  if (ok || fault === undefined || fault.seq < from || fault.seq > to) t.fail(`${what} is named`, { from, to, fault })
}

for (const isPruned of [false, true]) {
  t.test(isPruned ? 'of a journal whose first segments have left' : 'of a journal from its first record on', async (t) => {
    const journal = await evidence(t, isPruned)
    const { lines, firstSeq } = journal
    const places = journal.places()
    const last = places.at(-1)?.seq ?? 0
    t.ok(lines.length >= 3, `${lines.length} segments`)
    const sound = await journal.with({})
    t.match(sound, { ok: true, firstSeq, lastSeq: last, isPruned, keySpans: [{ keyId: signer.keyId }] })
    // what stands behind it is the last checkpoint itself, and one of the segment that ended with it
    t.ok(sound.signedThrough >= last - 2, String(sound.signedThrough))

    t.test('a flipped, removed, repeated or moved record', async (t) => {
      for (const [place, { segment, at, seq }] of places.entries()) {
        const own = lines[segment] ?? []
        const line = own[at] ?? ''
        const byte = (seq * 37) % line.length
        const flipped = line.slice(0, byte) + String.fromCharCode(line.charCodeAt(byte) ^ 1) + line.slice(byte + 1)
        found(t, await journal.with({ [segment]: own.with(at, flipped) }), seq, seq, `flipped ${seq}`)
        found(t, await journal.with({ [segment]: own.toSpliced(at, 1) }), seq, seq + 1, `removed ${seq}`)
        found(t, await journal.with({ [segment]: own.toSpliced(at, 0, line) }), seq, seq + 1, `repeated ${seq}`)
        const next = own[at + 1]
        if (next !== undefined) found(t, await journal.with({ [segment]: own.with(at, next).with(at + 1, line) }), seq, seq + 1, `moved ${seq}`)
        if (place === places.length - 1) continue
        const anew = journal.resealed(place)
        const all = Object.fromEntries(anew.entries())
        // everything up to the record before it may be good, and nothing from it on
        found(t, await journal.with(all), 0, seq + 1, `moved ${seq}, with hashes made anew`)
        if (seq > sound.signedThrough) continue
        const copies = anew.flat().filter((text) => journal.copies.includes(`"uid":"${parseLine(text).record?.uid}"`))
        const old = journal.copies.split('\n').filter((text) => text !== '' && (parseLine(text).record?.seq ?? 0) < firstSeq)
        found(t, await journal.with(all, [...old, ...copies].map((text) => `${text}\n`).join('')), 0, seq + 1, `moved ${seq}, with hashes and copies made anew`)
      }
      t.pass(`${places.length} places`)
    })

    t.test('a tail that was cut off anywhere', async (t) => {
      for (const { segment, at, seq } of places) {
        const cut = Object.fromEntries(lines.map((_, number) => [number, number < segment ? lines[number] : undefined]))
        const whole = at === 0 ? undefined : (lines[segment] ?? []).slice(0, at)
        const result = await journal.with({ ...cut, [segment]: whole })
        found(t, result, seq === firstSeq ? 0 : seq, seq, `cut off at ${seq}`)
      }
      t.pass(`${places.length} places`)
    })

    t.test('segments that are gone or have changed places', async (t) => {
      for (const one of lines.keys()) {
        const first = places.find(({ segment }) => segment === one)?.seq ?? 0
        const next = places.find(({ segment }) => segment === one + 1)?.seq ?? last + 1
        found(t, await journal.with({ [one]: undefined }), isPruned || one > 0 ? first : 1, next, `segment ${one} gone`)
        for (let other = one + 1; other < lines.length; other++) {
          found(t, await journal.with({ [one]: lines[other], [other]: lines[one] }), first, places.findLast(({ segment }) => segment === other)?.seq ?? 0, `${one} and ${other} exchanged`)
        }
      }
      t.pass(`${lines.length} segments`)
    })

    t.test('copies that are gone, or were taken out or changed', async (t) => {
      const gone = await journal.with({}, null)
      t.match(gone, { ok: false, fault: { what: isPruned ? /no signed checkpoint says that retention removed them/ : /the file is missing/ } })
      t.match(await journal.with({}, ''), { ok: false })
      const copies = journal.copies.split('\n').slice(0, -1)
      for (const [at, line] of copies.entries()) {
        const changed = line.replace('"severity":"INFO"', '"severity":"WARN"')
        t.match(await journal.with({}, `${copies.with(at, changed).join('\n')}\n`), { ok: false, fault: { file: checkpointPath(journal.dir), line: at + 1 } })
        const attributes: unknown = JSON.parse(line)
        if (checkpointOf(attributes as Parameters<typeof checkpointOf>[0]) === undefined) t.fail('each is signed')
      }
    })
  })
}

t.test('a range of segments is checked for what it is, and a key that is not its own is refused', async (t) => {
  const { dir, names, places } = await evidence(t, false).then((journal) => ({ dir: journal.dir, names: journal.names, places: journal.places() }))
  const part = folder(t)
  for (const name of names.slice(1, -1)) cpSync(join(dir, name), join(part, name))
  const second = places.find(({ segment }) => segment === 1)?.seq
  t.match(await verifyJournal(part, keys), { ok: false, fault: { seq: 1, what: /missing before the oldest.*say --range/ } })
  t.match(await verifyJournal(part, { ...keys, isRange: true }), { ok: true, firstSeq: second, checkpoints: names.length - 2, fault: undefined })
  cpSync(checkpointPath(dir), checkpointPath(part))
  t.match(await verifyJournal(part, { ...keys, isRange: true }), { ok: true })
  t.match(await verifyJournal(part, { keys: [testSigner()], isRange: true }), { ok: false, fault: { what: /signed with key [0-9a-f]{16}, and the keys to check with are [0-9a-f]{16}: if the key was changed/ } })
  t.match(await verifyJournal(part, { keys: [{ ...testSigner(), keyId: signer.keyId }], isRange: true }), { ok: false, fault: { what: /signature of the checkpoint does not fit/ } })
})

t.test('a key that was changed is named, and needs both public halves', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir, { checkpoints })
  await journal.append(decisionOf('r-1'))
  await journal.close()
  const other = testSigner()
  const again = await openTestJournal(t, dir, { checkpoints: { signer: other, intervalMs: hourMs } })
  await again.append(decisionOf('r-2'))
  await again.close()
  t.match(await verifyJournal(join(dir, 'journal'), { keys: [signer, other] }), { ok: true, keySpans: [{ keyId: signer.keyId, firstSeq: 2 }, { keyId: other.keyId, firstSeq: 3 }] })
  t.match(await verifyJournal(join(dir, 'journal'), { keys: [other] }), { ok: false, fault: { seq: 2 } })
  t.match(await verifyJournal(join(dir, 'journal')), { ok: true, keySpans: [] }, 'without a key the chain and the copies are checked')
})

t.test('a journal that retention is at work on, and one whose newest copy is still to be made, are intact', async (t) => {
  const journal = await evidence(t, false)
  const copies = journal.copies.split('\n').slice(0, -2)
  t.match(await journal.with({}, `${copies.join('\n')}\n`), { ok: true })
  t.match(await journal.with({}, `${copies.slice(0, -1).join('\n')}\n`), { ok: false, fault: { what: /copies were taken out/ } })
})

/** What the writer of a gap record would write. */
function gapLine(seq: number, prev: string, firstSeq: number, lastSeq: number): string {
  const attributes = { 'sallyport.gap.cause': 'set_aside', 'sallyport.gap.count': lastSeq + 1 - firstSeq, 'sallyport.gap.first_seq': firstSeq, 'sallyport.gap.last_seq': lastSeq }
  return sealLine(`","name":"sallyport.audit.gap","severity":"ERROR","body":"gap","attributes":${JSON.stringify(attributes)}`, seq, prev, '01KDYABCDE9QZ4M2T700000007', '2026-01-02T03:04:05.006Z', 'i').line.trimEnd()
}

const seqOf = (line: string): number => parseLine(line).record?.seq ?? 0
const joined = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('')

t.test('a gap that only somebody without the key explains is none that is known', async (t) => {
  const journal = await evidence(t, false)
  const [from, to] = [seqOf(journal.lines[1]?.[0] ?? ''), seqOf(journal.lines[1]?.at(-1) ?? '')]
  const copies = journal.copies.split('\n').slice(0, -1)
  const inside = [...copies.filter((line) => seqOf(line) < from), gapLine(from, zeroHash, from, to), ...copies.filter((line) => seqOf(line) > to)]
  t.match(await journal.with({ 1: undefined }, joined(inside)), { ok: false, fault: { seq: from, what: /what is to explain it \(record \d+\) is not in the journal/ } }, 'a copy alone')
  const end = parseLine(journal.all.at(-1) ?? '').record
  const tail = gapLine((end?.seq ?? 0) + 1, end?.hash ?? '', from, to)
  const behind = [...copies.filter((line) => seqOf(line) < from || seqOf(line) > to), tail]
  const last = journal.lines.length - 1
  t.match(await journal.with({ 1: undefined, [last]: [...(journal.lines[last] ?? []), tail] }, joined(behind)), { ok: false, fault: { seq: from, what: /covered by no signed checkpoint/ } }, 'a record at the end')
})

t.test('what a repair kept before a gap is proven by what was signed of it, and by nothing behind the gap', async (t) => {
  const { dir, names, lines } = await evidence(t, false)
  const [first = '', second = ''] = names.map((name) => join(dir, name))
  writeFileSync(second, joined(lines[1]?.with(0, 'damaged') ?? []))
  const plan = await planRepair(dir)
  await applyRepair(dir, plan, join(folder(t), 'aside'))
  const journal = await openTestJournal(t, join(dir, '..'), { checkpoints, clock: testClock(), repaired: { gaps: plan.gaps, nextSeq: plan.nextSeq, detail: 'damaged' } })
  await journal.close()
  const known = [{ firstSeq: seqOf(lines[1]?.[0] ?? ''), lastSeq: seqOf(lines[1]?.at(-1) ?? '') }]
  const before = seqOf(lines[0]?.at(-1) ?? '')
  t.match(await verifyJournal(dir, keys), { ok: true, knownGaps: known, unsigned: { length: 0 } }, 'a checkpoint that was set aside still speaks by its copy')
  // history without a checkpoint in it, and every copy that would contradict it taken out
  let prev = zeroHash
  const forged = (lines[0] ?? []).map((line) => {
    const { uid = '', time = '', seq = 0 } = parseLine(line).record ?? {}
    const made = sealLine(`","name":"sallyport.process.started","severity":"INFO","body":"nothing happened","attributes":{}`, seq, prev, uid, time, 'i')
    prev = made.hash
    return made.line.trimEnd()
  })
  writeFileSync(first, joined(forged))
  t.match(await verifyJournal(dir, keys), { ok: false, fault: { file: checkpointPath(dir), what: /are not those that the checkpoint in record/ } })
  writeFileSync(checkpointPath(dir), joined(readFileSync(checkpointPath(dir), 'latin1').split('\n').filter((line) => seqOf(line) > before)))
  t.strictSame((await verifyJournal(dir, keys)).unsigned, [{ firstSeq: 1, lastSeq: before }])
})

t.test('a gap whose record was damaged in its turn is explained anew', async (t) => {
  const { dir, names, lines } = await evidence(t, false)
  const repaired = async (): Promise<number> => {
    const plan = await planRepair(dir)
    await applyRepair(dir, plan, join(folder(t), 'aside'))
    const journal = await openTestJournal(t, join(dir, '..'), { checkpoints, clock: testClock(), repaired: { gaps: plan.gaps, nextSeq: plan.nextSeq, detail: 'damaged' } })
    await journal.close()
    return plan.gaps.length
  }
  unlinkSync(join(dir, names[1] ?? ''))
  t.equal(await repaired(), 1)
  const newest = readdirSync(dir).filter((name) => name.startsWith('segment-')).toSorted().at(-1) ?? ''
  const own = readFileSync(join(dir, newest), 'latin1').split('\n').slice(0, -1)
  const at = own.findIndex((line) => line.includes('"set_aside"'))
  writeFileSync(join(dir, newest), joined(own.with(at, 'damaged')))
  t.equal(await repaired(), 2, 'that one and the old one')
  t.match(await verifyJournal(dir, keys), { ok: true, knownGaps: { length: 2 } })
  t.equal(lines.length > 2, true)
})

t.test('exported lines: a stretch is proven, a choice is each line by itself', async (t) => {
  const journal = await evidence(t, false)
  const path = join(folder(t), 'export.jsonl')
  const check = (lines: readonly string[]) => {
    writeFileSync(path, lines.map((line) => `${line}\n`).join(''))
    return verifyLines(path, [signer])
  }
  const all = journal.all
  t.match(await check(all), { ok: true, records: all.length, missing: 0, signedThrough: (await journal.with({})).signedThrough })
  t.match(await check(all.slice(2, 5)), { ok: true, firstSeq: 3, lastSeq: 5, missing: 0 })
  t.match(await check(all.filter((_, at) => at % 2 === 0)), { ok: true, missing: Math.floor((all.length - 1) / 2) })
  t.match(await check([...all.slice(0, 3), ...all.slice(1)]), { ok: false, fault: { line: 4, seq: 2, what: /repeated or moved/ } })
  t.match(await check(all.with(2, all[2]?.replace('"allow"', '"deny"') ?? '')), { ok: false, fault: { line: 3, seq: 3 } })
  t.match(await check(journal.resealed(0).flat()), { ok: false, fault: { seq: 1, what: /are not those that the checkpoint in record/ } })
  t.match(await check([]), { ok: true, records: 0 })
  rmSync(path)
})
