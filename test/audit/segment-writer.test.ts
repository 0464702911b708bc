// One segment file: what is under way when it is closed.
import { readFileSync, writeSync } from 'node:fs'
import t from 'tap'
import { SegmentWriter } from '../../src/audit/segment-writer.ts'
import { folder } from './fixture.ts'

t.test('a sync begins when the one before has ended, so that after the last one nothing needs the file', async (t) => {
  const ends: PromiseWithResolvers<void>[] = []
  const writer = new SegmentWriter(folder(t), 1, false, {
    write: writeSync,
    truncate: () => {},
    sync: () => {
      const end = Promise.withResolvers<void>()
      ends.push(end)
      return end.promise
    },
  })
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  writer.write(Buffer.from('one\n'))
  const first = writer.sync()
  await turn()
  writer.write(Buffer.from('two\n'))
  const second = writer.sync()
  const third = writer.sync()
  await turn()
  t.equal(ends.length, 1)
  ends[0]?.reject(new Error('a broken disk'))
  await t.rejects(first, { message: 'a broken disk' })
  await turn()
  t.equal(ends.length, 2, 'and a failed one is followed by the next all the same')
  ends[1]?.resolve()
  await Promise.all([second, third])
  t.equal(ends.length, 2, 'what is on the disk already is not handed to it again')
  writer.close()
  t.equal(readFileSync(writer.path, 'utf8'), 'one\ntwo\n')
})
