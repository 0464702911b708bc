// Archives into the cache and out of it again.
import t from 'tap'
import { createHash } from 'node:crypto'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { WARCParser } from 'warcio'
import type { CachedResponse } from '../../src/cache/cached-response.ts'
import { exportWarc } from '../../src/cache/warc-export.ts'
import { importWarc } from '../../src/cache/warc-import.ts'
import type { ImportOptions } from '../../src/cache/warc-import.ts'
import { readWarc } from '../../src/cache/warc-reader.ts'
import { writeWarc } from '../../src/cache/warc-writer.ts'
import type { ArchivedEntry } from '../../src/cache/warc-writer.ts'
import * as fc from '../support/property.ts'
import { collected, entryOf, inPieces, noonMs } from './entries.ts'
import { MemoryCacheStore } from './memory-cache-store.ts'
import { answer, capturedMs, record } from './warc-records.ts'

const options: ImportOptions = { name: 'x.warc.gz', maxBodyBytes: 1_000_000, isStrict: false, partition: 'common', by: 'ann', pinned: true, clock: { now: () => noonMs, monotonic: () => 0 } }
const writing = { software: 'sallyport/0.0.0', nowMs: noonMs }

function withBody(body: Buffer, parts: Partial<CachedResponse> = {}): ArchivedEntry {
  return { entry: entryOf({ ...parts, bodyBytes: body.length, bodyDigest: createHash('sha256').update(body).digest('hex') }), body }
}

t.test('pages are kept with when they were captured, decoded and without what outlives them', async (t) => {
  const store = new MemoryCacheStore()
  const coded = gzipSync('hello').toString('latin1')
  const report = await importWarc(store, inPieces(gzipSync(Buffer.concat([
    record({ block: answer(coded, ['Content-Encoding: gzip', `Content-Length: ${coded.length}`, 'Set-Cookie: a=b', 'Content-Type: text/plain', 'Cache-Control: private, no-store', 'ETag: "v"']) }),
    record({ fields: { 'WARC-Target-URI': 'https://b.test/' }, block: answer('', [], 'HTTP/1.1 204 No Content') }),
    record({ fields: { 'WARC-Type': 'revisit' }, block: answer('') }),
  ]))), options)
  t.strictSame(report, { kept: 2, refused: 0, broken: 0, older: 0, revisits: 1, other: 0, messages: ['x.warc.gz, record `<urn:uuid:1>`: it refers to content that another record holds'], stopped: undefined })
  const [first, second] = store.entries
  t.match(first, { key: { shelf: 'web', partition: 'common', url: 'http://a.test/' }, source: 'imported', by: 'ann', pinned: true, capturedMs, storedMs: noonMs, initialAgeMs: noonMs - capturedMs, bodyBytes: 5, status: 200 })
  t.strictSame(first?.fields, ['Content-Type', 'text/plain', 'Cache-Control', 'private, no-store', 'ETag', 'W/"v"', 'Date', 'Mon, 03 Feb 2020 04:05:06 GMT'])
  t.equal(store.bodies.get(first?.bodyDigest ?? '')?.toString(), 'hello')
  t.match(second, { key: { url: 'https://b.test/' }, status: 204, bodyBytes: 0 })
  t.equal(store.open, 0)
})

t.test('what is refused, broken, older or not meant is counted and told, and no body of it stays', async (t) => {
  const one = (block: string, fields: Readonly<Record<string, string>> = {}): Buffer => record({ block, fields })
  const archive = Buffer.concat([
    one(answer('new', ['X: 1'])),
    one(answer('old'), { 'WARC-Date': '2019-01-01T00:00:00Z' }),
    one(answer('x', ['Vary: Cookie'])),
    one(answer('x', [], 'HTTP/1.1 500 Oops')),
    one(answer('x', ['Content-Encoding: gzip'])),
    one(answer(brotliCompressSync(Buffer.alloc(500_000)).toString('latin1'), ['Content-Encoding: br'])),
    one(answer(gzipSync('x').subarray(0, -1).toString('latin1'), ['Content-Encoding: gzip'])),
    one(answer('x'), { 'WARC-Payload-Digest': `sha1:${'0'.repeat(40)}` }),
    one(answer('x', [], 'HTTP/1.1 204 No Content')),
    one(answer('x'), { 'WARC-Target-URI': 'http://b.test/' }),
    one(answer('newer'), { 'WARC-Date': '2021-01-01T00:00:00Z' }),
  ])
  // a body that is given up midway leaves the records behind it where they are, whatever the pieces
  for (const lengths of [[archive.length], [1], [7, 100], [1000]]) {
    const store = new MemoryCacheStore()
    const report = await importWarc(store, inPieces(archive, lengths), { ...options, matches: (url) => url.startsWith('http://a.test/') })
    t.match({ ...report, messages: report.messages.length }, { kept: 2, refused: 2, broken: 5, older: 1, revisits: 0, other: 1, messages: 7, stopped: undefined })
    t.equal(store.entries.length, 1, 'the newer one took its place')
    t.equal(store.bodies.get(store.entries[0]?.bodyDigest ?? '')?.toString(), 'newer')
    t.equal(store.open, 0, 'every body was finished or given up')
  }
})

t.test('a reading that ends early says where, and keeps what came before; strictly, at the first fault', async (t) => {
  const store = new MemoryCacheStore()
  const fine = record({ block: answer('x') })
  t.match(await importWarc(store, inPieces(Buffer.concat([fine, Buffer.from('junk\r\n\r\n'), fine])), options), { kept: 1, stopped: /^x\.warc\.gz, byte \d+: not a WARC/ })
  t.match(await importWarc(store, inPieces(Buffer.concat([fine, fine.subarray(0, -6)])), { ...options, pinned: false }), { kept: 1, broken: 1, stopped: /ends within/ })
  for (const block of [answer('x', ['Content-Encoding: gzip']), answer('x', ['Transfer-Encoding: chunked']), 'x']) {
    t.match(await importWarc(store, inPieces(Buffer.concat([record({ block }), fine])), { ...options, isStrict: true }), { kept: 0, stopped: /record/ })
  }
  t.equal(store.open, 0)
})

t.test('a fault of the store is thrown, and the body given up', async (t) => {
  const store = new MemoryCacheStore()
  store.put = () => {
    throw new Error('the disk is full')
  }
  await t.rejects(importWarc(store, inPieces(record({ block: answer('x') })), options), { message: 'the disk is full' })
  t.equal(store.open, 0)
})

t.test('pages are on record before any of them can be found', async (t) => {
  const store = new MemoryCacheStore()
  const at = (url: string, date = '2020-02-03T04:05:06Z'): Buffer => record({ block: answer(url), fields: { 'WARC-Target-URI': url, 'WARC-Date': date } })
  const urls = Array.from({ length: 100 }, (_, index) => `http://a.test/${index}`)
  const recorded: [number, number][] = []
  const report = await importWarc(store, inPieces(Buffer.concat(urls.map((url) => at(url)))), {
    ...options, record: async (pages) => { recorded.push([pages.length, store.entries.length]) },
  })
  t.equal(report.kept, 100)
  t.strictSame(recorded, [[64, 0], [36, 64]])
  recorded.length = 0
  await importWarc(store, inPieces(Buffer.concat([at('http://b.test/', '2021-01-01T00:00:00Z'), at('http://b.test/')])), { ...options, record: async (pages) => { recorded.push([pages.length, store.entries.length]) } })
  t.strictSame(recorded, [[1, 100]], 'the older of two captures of one page is neither kept nor on record')
})

t.test('what cannot be put on record is not kept, and nothing of it stays', async (t) => {
  const store = new MemoryCacheStore()
  const down = importWarc(store, inPieces(record({ block: answer('x') })), { ...options, record: async () => { throw new Error('the journal is down') } })
  await t.rejects(down, { message: 'the journal is down' })
  t.strictSame(store.entries, [])
  t.equal(store.aborted, 1)
})

t.test('a dry run reads everything and keeps nothing; what may not be had is refused with its reason', async (t) => {
  const store = new MemoryCacheStore()
  const archive = Buffer.concat([record({ block: answer('x') }), record({ block: answer('x'), fields: { 'WARC-Target-URI': 'http://b.test/' } }), record({ block: answer('x', ['Content-Encoding: gzip']), fields: { 'WARC-Target-URI': 'http://c.test/' } })])
  const report = await importWarc(store, inPieces(archive), { ...options, isDryRun: true, refuses: (url) => (url === 'http://b.test/' ? 'not this one' : undefined), record: async () => { t.fail('nothing is kept') } })
  t.match(report, { kept: 1, refused: 1, broken: 1 })
  t.match(report.messages[0], /not this one$/)
  t.strictSame(store.entries, [])
})

t.test('an import that is interrupted keeps what was read', async (t) => {
  const store = new MemoryCacheStore()
  const stop = new AbortController()
  const report = await importWarc(store, inPieces(Buffer.concat(['1', '2', '3'].map((name) => record({ block: answer('x'), fields: { 'WARC-Target-URI': `http://a.test/${name}` } })))), { ...options, signal: stop.signal, onItem: async () => stop.abort() })
  t.match(report, { kept: 1, stopped: 'interrupted' })
  t.equal(store.entries.length, 1)
})

t.test('what is written is read back as it was', async () => {
  const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,10}$/).filter((name) => !/^(?:content-length|transfer-encoding)$/i.test(name))
  const value = fc.stringMatching(/^(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?)?$/)
  const page = fc.record({
    url: fc.webUrl({ withQueryParameters: true }).filter((url) => !url.includes('@') && /^[!-~]+$/.test(url) && !url.includes('\\')).map((url) => new URL(url).href.replace(/#.*$/, '')),
    status: fc.integer({ min: 100, max: 999 }), reason: fc.stringMatching(/^[\t -~\x80-\xff]{0,12}$/), fields: fc.array(fc.tuple(token, value), { maxLength: 5 }).map((pairs) => pairs.flat()),
    body: fc.uint8Array({ maxLength: 500 }), captured: fc.option(fc.integer({ min: 0, max: 4_000_000_000_000 }), { nil: undefined }),
  })
  await fc.assert(fc.asyncProperty(fc.array(page, { maxLength: 4 }), async (pages) => {
    const entries = pages.map(({ url, status, reason, fields, body, captured }) => withBody(Buffer.from(body), { key: { shelf: 'web', partition: 'common', url }, status, reason, fields, capturedMs: captured }))
    const out: unknown[] = []
    for await (const item of readWarc(writeWarc(entries, writing), { name: 'x', maxBodyBytes: 1000, isStrict: true })) {
      if ('skipped' in item) return false
      const { url, capturedMs: at, status, reason, fields } = item.page
      out.push({ url, status, reason, fields, body: (await collected(item.page.body)).toString('latin1'), captured: at })
    }
    const expected = pages.map((one) => ({ ...one, body: Buffer.from(one.body).toString('latin1'), captured: one.captured ?? noonMs, url: one.url }))
    return JSON.stringify(sorted(out)) === JSON.stringify(sorted(expected))
  }), { numRuns: 150 })
})

function sorted(pages: readonly unknown[]): unknown[] {
  return pages.map((page) => Object.entries(Object(page)).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

t.test('what is written is what warcio reads, one gzip member for each record', async (t) => {
  const archive = await collected(writeWarc([withBody(Buffer.from('hello'), { fields: ['Content-Type', 'text/plain'], capturedMs })], writing))
  const records: unknown[] = []
  for await (const one of WARCParser.iterRecords([archive], { keepHeadersCase: true })) {
    records.push([one.warcType, one.warcTargetURI, one.warcDate, one.warcPayloadDigest, one.httpHeaders?.statusline, await one.contentText()])
  }
  t.strictSame(records, [
    ['warcinfo', undefined, '2026-11-21T12:00:00.000Z', undefined, undefined, 'software: sallyport/0.0.0\r\nformat: WARC File Format 1.1\r\n'],
    ['response', 'http://a.test/', '2020-02-03T04:05:06.000Z', `sha256:${createHash('sha256').update('hello').digest('hex')}`, 'HTTP/1.1 200 OK', 'hello'],
  ])
  t.equal(archive.indexOf(Buffer.from([0x1f, 0x8b, 8]), 1) > 0, true)
})

t.test('content that is longer or shorter than its entry says is not written', async (t) => {
  for (const body of ['hell', 'hello!', '']) await t.rejects(collected(writeWarc([{ entry: entryOf({ bodyBytes: 5 }), body: Buffer.from(body) }], writing)), { code: 'cache_failed' })
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('he')
    throw new Error('the disk is gone')
  }
  await t.rejects(collected(writeWarc([{ entry: entryOf({ bodyBytes: 5 }), body: failing() }], writing)), { message: 'the disk is gone' })
})

t.test('a cache that is written out and read in again is the same, but for what is damaged', async (t) => {
  const store = new MemoryCacheStore()
  const pages = Array.from({ length: 250 }, (_, i) => record({ fields: { 'WARC-Target-URI': `http://a.test/${i}` }, block: answer(i % 50 === 0 ? '' : `page ${i}`) }))
  await importWarc(store, inPieces(Buffer.concat(pages)), options)
  const lost = store.entries[7]
  store.bodies.delete(lost?.bodyDigest ?? '')
  const told: unknown[] = []
  const archive = await collected(exportWarc(store, { ...writing, filter: { shelf: 'web' }, onLost: ({ key }) => told.push(key.url) }))
  t.strictSame(told, ['http://a.test/7'])
  const again = new MemoryCacheStore()
  t.match(await importWarc(again, inPieces(archive, [1000]), options), { kept: 249, broken: 0, refused: 0, stopped: undefined })
  const shown = (of: MemoryCacheStore): unknown[] => of.entries.map(({ key, fields, bodyDigest, capturedMs: at }) => JSON.stringify([key.url, fields, bodyDigest, at])).toSorted()
  t.strictSame(shown(again), shown(store).filter((text) => !String(text).includes('"http://a.test/7"')))
})
