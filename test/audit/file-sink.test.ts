// Lines in a file: whole, synced before they count, and none lost when somebody rotates or fills the disk.
import { appendFileSync, mkdirSync, readFileSync, renameSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createFileSink } from '../../src/audit/file-sink.ts'
import type { JournalRecord } from '../../src/audit/record.ts'
import { bench, idOf } from './export-bench.ts'
import { folder, until } from './fixture.ts'

const line = (record: JournalRecord): string => JSON.stringify(record)
const idsIn = (path: string): string[] => readFileSync(path, 'utf8').trimEnd().split('\n').map((text) => idOf(JSON.parse(text)))

t.test('each record is one line, for nobody else to read', async (t) => {
  const { journal, append, deliver } = await bench(t)
  const path = join(folder(t), 'events.jsonl')
  deliver({ sink: createFileSink(path, line) })
  await append('r-1', 'r-2')
  await until(() => journal.stats().undelivered === 0)
  await append('r-3')
  await until(() => journal.stats().undelivered === 0)
  t.strictSame(idsIn(path), ['r-1', 'r-2', 'r-3'])
  t.equal(statSync(path).mode & 0o777, 0o600)
})

t.test('a file that is renamed is begun anew, and together they hold everything', async (t) => {
  const { journal, append, deliver } = await bench(t)
  const path = join(folder(t), 'events.jsonl')
  deliver({ sink: createFileSink(path, line) })
  await append('r-1')
  await until(() => journal.stats().undelivered === 0)
  renameSync(path, `${path}.1`)
  await append('r-2')
  await until(() => journal.stats().undelivered === 0)
  t.strictSame([idsIn(`${path}.1`), idsIn(path)], [['r-1'], ['r-2']])
})

t.test('a line that a crash left half is cut off, and what stands before it stays', async (t) => {
  const { journal, append, deliver } = await bench(t)
  const path = join(folder(t), 'events.jsonl')
  writeFileSync(path, '{"attributes":{"sallyport.request.id":"old"}}\n{"attributes":{"sally')
  deliver({ sink: createFileSink(path, line) })
  await append('r-1')
  await until(() => journal.stats().undelivered === 0)
  t.strictSame(idsIn(path), ['old', 'r-1'])
})

t.test('a place that cannot be written to is waited out', async (t) => {
  const { journal, append, deliver, log } = await bench(t)
  const path = join(folder(t), 'events.jsonl')
  mkdirSync(path)
  const exporter = deliver({ sink: createFileSink(path, line) })
  await append('r-1')
  await until(() => exporter.progress().retries > 1)
  t.match(log[0], /EISDIR/)
  rmdirSync(path)
  await until(() => journal.stats().undelivered === 0)
  t.strictSame(idsIn(path), ['r-1'])
})

t.test('what others append in between stays, and no line is torn by it', async (t) => {
  const { journal, append, deliver } = await bench(t)
  const path = join(folder(t), 'events.jsonl')
  deliver({ sink: createFileSink(path, line) })
  await append('r-1')
  await until(() => journal.stats().undelivered === 0)
  appendFileSync(path, '{"attributes":{"sallyport.request.id":"other"}}\n')
  await append('r-2')
  await until(() => journal.stats().undelivered === 0)
  t.strictSame(idsIn(path), ['r-1', 'other', 'r-2'])
})
