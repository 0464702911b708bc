import t from 'tap'
import { Chain, wholeLines } from '../../src/audit/chain.ts'
import { encodeEvent, parseLine, zeroHash, type JournalRecord } from '../../src/audit/record.ts'
import { decisionOf } from './fixture.ts'

const timeMs = Date.UTC(2026, 0, 2, 3, 4, 5, 6)

function recordsIn(data: Uint8Array): JournalRecord[] {
  const lines = Buffer.from(data).toString('latin1').split('\n')
  if (lines.pop() !== '') throw new Error('the last line has no end')
  return lines.map((line) => {
    const { record, fault } = parseLine(line)
    if (record === undefined) throw new Error(fault)
    return record
  })
}

t.test('a batch follows the last record, line after line, and does not move the chain by itself', async (t) => {
  const chain = new Chain(41, zeroHash, 'instance "1"\n')
  const entries = [1, 2, 3].map((at) => ({ encoded: encodeEvent(decisionOf(`r-${at}`)) }))
  const batch = chain.seal(entries, timeMs)
  const records = recordsIn(batch.data)
  t.strictSame(records.map(({ seq, time, instance }) => [seq, time, instance]), [42, 43, 44].map((seq) => [seq, '2026-01-02T03:04:05.006Z', 'instance "1"\n']))
  t.strictSame(records.map(({ prev }) => prev), [zeroHash, records[0]?.hash, records[1]?.hash])
  t.equal(batch.lastHash, records[2]?.hash)
  t.equal(chain.lastSeq, 41)
  chain.advance(batch)
  t.equal(chain.lastSeq, 44)
  t.equal(chain.lastHash, records[2]?.hash)
})

t.test('a batch of any size is whole', async (t) => {
  const chain = new Chain(0, zeroHash, 'i')
  const encoded = encodeEvent({ ...decisionOf('r'), name: 'sallyport.decision', body: 'x'.repeat(20_000), attributes: {} })
  const batch = chain.seal(Array.from({ length: 256 }, () => ({ encoded })), timeMs)
  t.ok(batch.data.length > 4 * 1024 * 1024)
  t.equal(recordsIn(batch.data).length, 256)
})

t.test('of a write that ended early the whole lines count', async (t) => {
  const chain = new Chain(0, zeroHash, 'i')
  const batch = chain.seal(['r-1', 'r-2'].map((id) => ({ encoded: encodeEvent(decisionOf(id)) })), timeMs)
  const [first] = recordsIn(batch.data)
  const end = batch.data.indexOf(10) + 1
  for (const written of [0, 1, end - 1]) {
    const whole = wholeLines(chain, batch, written)
    t.strictSame([whole.count, whole.data.length, whole.lastHash], [0, 0, zeroHash], `${written} bytes`)
  }
  for (const written of [end, batch.data.length - 1]) {
    const whole = wholeLines(chain, batch, written)
    t.strictSame([whole.count, whole.data.length, whole.lastHash], [1, end, first?.hash], `${written} bytes`)
  }
  const whole = wholeLines(chain, batch, batch.data.length)
  t.strictSame([whole.count, whole.lastHash], [2, batch.lastHash])
})
