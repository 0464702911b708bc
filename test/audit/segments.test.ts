import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { listSegments, readLines, readLinesBackward, segmentName } from '../../src/audit/segments.ts'
import { folder } from './fixture.ts'
import * as fc from '../support/property.ts'

t.test('segments are listed by number, and other files are not segments', async (t) => {
  const dir = folder(t)
  for (const name of [segmentName(10), segmentName(2), segmentName(1e13), 'lock', 'segment-1.jsonl', `${segmentName(3)}.1.torn`]) writeFileSync(join(dir, name), '')
  t.strictSame((await listSegments(dir)).map(({ firstSeq }) => firstSeq), [2, 10, 1e13])
  t.strictSame(await listSegments(join(dir, 'none')), [])
})

t.test('lines read forward and backward are the same lines at the same places', async (t) => {
  const path = join(folder(t), 'lines')
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: 400_000 }), { maxLength: 6 }), fc.stringMatching(/^[a-z]{0,9}$/), async (lengths, tail) => {
      const lines = lengths.map((length, at) => String(at).repeat(length))
      writeFileSync(path, lines.map((line) => `${line}\n`).join('') + tail)
      const forward = await Array.fromAsync(readLines(path))
      const backward = await Array.fromAsync(readLinesBackward(path))
      const whole = forward.filter(({ complete }) => complete).map(({ text, offset }) => ({ text, offset }))
      return whole.map(({ text }) => text).join() === lines.join() && JSON.stringify(backward.toReversed()) === JSON.stringify(whole) && (forward.find(({ complete }) => !complete)?.text ?? '') === tail
    }),
    { numRuns: 40 },
  )
})

t.test('a segment that is gone has no lines', async (t) => {
  const path = join(folder(t), 'none')
  t.strictSame(await Array.fromAsync(readLines(path)), [])
  t.strictSame(await Array.fromAsync(readLinesBackward(path)), [])
})
