// WARC archives read as a stream: pages come out whole and checked, and archives that lie stop or are told about.
import t from 'tap'
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { WARCRecord, WARCSerializer } from 'warcio'
import { readWarc } from '../../src/cache/warc-reader.ts'
import type { ArchivedPage, WarcOptions } from '../../src/cache/warc-reader.ts'
import * as fc from '../support/property.ts'
import { anyLengths, collected, inPieces } from './entries.ts'
import { answer, capturedMs, record } from './warc-records.ts'
import type { RecordParts } from './warc-records.ts'

const options: WarcOptions = { name: 'x.warc', maxBodyBytes: 1_000_000, isStrict: false }

interface Read {
  /** url, status, reason, fields, content of every page */
  readonly pages: readonly (readonly [string, number, string, readonly string[], string])[]
  readonly told: readonly string[]
  readonly stopped: string | undefined
}

/** All of an archive; a body that cannot be read is told like a record that was skipped. */
async function read(bytes: Uint8Array, lengths?: readonly number[], with_: Partial<WarcOptions> = {}): Promise<Read> {
  const pages: [string, number, string, readonly string[], string][] = []
  const told: string[] = []
  try {
    for await (const item of readWarc(inPieces(bytes, lengths), { ...options, ...with_ })) {
      if ('skipped' in item) {
        told.push(`${item.skipped.kind}: ${item.skipped.reason}`)
        continue
      }
      const { url, status, reason, fields, body, where } = item.page
      try {
        pages.push([url, status, reason, fields, (await collected(body)).toString('latin1')])
      } catch (error) {
        if (!(error instanceof Error) || error.name !== 'ArchiveFault') throw error
        told.push(`body: ${error.message.slice(where.length + 2)}`)
      }
    }
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'ArchiveFault') throw error
    return { pages, told, stopped: error.message }
  }
  return { pages, told, stopped: undefined }
}

const good = record({ block: answer('hello', ['Content-Type: text/plain']) })
const goodPage = ['http://a.test/', 200, 'OK', ['Content-Type', 'text/plain'], 'hello'] as const

t.test('pages come out as they were archived, plain or gzip, 1.0 or 1.1', async (t) => {
  const info = record({ fields: { 'WARC-Type': 'warcinfo', 'WARC-Target-URI': undefined, 'Content-Type': 'application/warc-fields' }, block: 'software: x\r\n' })
  const request = record({ fields: { 'WARC-Type': 'request' }, block: 'GET / HTTP/1.1\r\n\r\n' })
  const odd = record({ version: 'WARC/1.0', fields: { 'WARC-Target-URI': '<https://B.test:443/%7e?x#y>', 'WARC-Date': '2020-02-03T04:05:06.789Z', 'WARC-Type': 'Response' }, block: answer('\x00\xff', ['X-Empty:', 'x-A: a,,,b', 'X-a:\tcaf\xe9 ', 'Content-Length: 2'], 'HTTP/1.0 404 N\xf6') })
  const resource = record({ fields: { 'WARC-Type': 'resource', 'WARC-Target-URI': 'http://c.test/x', 'Content-Type': 'image/png' }, block: 'png' })
  const expected = [goodPage, ['https://b.test/%7e?x', 404, 'N\xf6', ['X-Empty', '', 'x-A', 'a,,,b', 'X-a', 'caf\xe9', 'Content-Length', '2'], '\x00\xff'], ['http://c.test/x', 200, 'OK', ['Content-Type', 'image/png'], 'png']]
  const records = [info, good, request, odd, resource]
  t.strictSame(await read(Buffer.concat(records)), { pages: expected, told: [], stopped: undefined })
  t.strictSame(await read(Buffer.concat(records.map((one) => gzipSync(one)))), { pages: expected, told: [], stopped: undefined }, 'a member for each')
  t.strictSame(await read(gzipSync(Buffer.concat(records))), { pages: expected, told: [], stopped: undefined }, 'one member for all')
  for await (const item of readWarc(inPieces(odd), options)) t.match(item, { page: { capturedMs: capturedMs + 789, where: 'x.warc, record `<urn:uuid:1>`' } })
  t.strictSame(await read(Buffer.alloc(0)), { pages: [], told: [], stopped: undefined }, 'an archive of nothing')
  for (const end of ['', '\r\n']) t.strictSame((await read(record({ block: answer('x'), end }))).stopped, undefined, 'the last record may lack its empty lines')
})

t.test('the same comes out in whatever pieces the archive comes', async () => {
  const body = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 200 })
  const field = fc.tuple(fc.stringMatching(/^[!-9;-~]{1,8}$/).filter((name) => /^[\w-]+$/.test(name) && !/^(?:transfer-encoding|content-length)$/i.test(name)), fc.stringMatching(/^[!-~\x80-\xff]{0,8}$/))
  const page = fc.record({ body, fields: fc.array(field, { maxLength: 3 }), isChunked: fc.boolean() })
  await fc.assert(fc.asyncProperty(fc.array(page, { maxLength: 4 }), anyLengths, fc.boolean(), async (pages, lengths, isZipped) => {
    const records = pages.map(({ body: content, fields, isChunked }) => {
      const coded = isChunked ? `${content === '' ? '' : `${content.length.toString(16)};x\r\n${content}\r\n`}0\r\nX: y\r\n\r\n` : content
      const block = answer(coded, [...fields.map(([name, value]) => `${name}: ${value}`), ...(isChunked ? ['Transfer-Encoding: chunked'] : [])])
      return record({ block, fields: { 'WARC-Block-Digest': `sha256:${createHash('sha256').update(block, 'latin1').digest('hex')}` } })
    })
    const archive = Buffer.concat(isZipped ? records.map((one) => gzipSync(one)) : records)
    const out = await read(archive, lengths)
    return out.stopped === undefined && out.told.length === 0 && JSON.stringify(out.pages) === JSON.stringify(pages.map(({ body: content, fields }) => ['http://a.test/', 200, 'OK', fields.flat(), content]))
  }), { numRuns: 150 })
})

t.test('what warcio writes is read', async (t) => {
  const bytes: Uint8Array[] = []
  for (const gzip of [false, true]) {
    const one = WARCRecord.create({ url: 'http://a.test/', type: 'response', date: '2020-02-03T04:05:06Z', warcVersion: 'WARC/1.1', statusline: 'HTTP/1.1 200 OK', httpHeaders: { 'Content-Type': 'text/plain' } }, inPieces(Buffer.from('hello')))
    bytes.push(await WARCSerializer.serialize(one, { gzip }))
  }
  for (const archive of bytes) t.strictSame(await read(archive), { pages: [goodPage], told: [], stopped: undefined })
})

t.test('records that hold no page are told about and passed over', async (t) => {
  for (const [parts, told] of [
    [{ fields: { 'WARC-Type': 'revisit', 'WARC-Refers-To-Target-URI': 'http://a.test/' }, block: answer('') }, /^revisit: /], [{ fields: { 'WARC-Type': 'conversion' }, block: 'x' }, /^other: /], [{ fields: { 'WARC-Type': undefined } }, /^other: /], [{ fields: { 'WARC-Target-URI': 'dns:a.test' }, block: 'x' }, /^other: .*neither http nor https/],
    [{ fields: { 'WARC-Target-URI': 'ftp://a.test/' }, block: 'x' }, /^other: /], [{ fields: { 'WARC-Segment-Number': '1' }, block: answer('x') }, /^other: .*segment/], [{ fields: { 'Content-Type': 'text/dns' }, block: 'x' }, /^other: .*application\/http/],
  ] as const) {
    const out = await read(Buffer.concat([record(parts), good]), undefined, { isStrict: true })
    t.match(out, { pages: [goodPage], told: [told], stopped: undefined }, String(told))
  }
})

t.test('a broken record is told about and passed over, or ends a strict reading', async (t) => {
  const broken: Readonly<Record<string, readonly [RecordParts, RegExp]>> = {
    'no URL': [{ fields: { 'WARC-Target-URI': undefined } }, /URL/], 'userinfo': [{ fields: { 'WARC-Target-URI': 'http://u:p@a.test/' } }, /userinfo/], 'no URL at all': [{ fields: { 'WARC-Target-URI': 'a.test' } }, /absolute/], 'a space in the URL': [{ fields: { 'WARC-Target-URI': 'http://a.test/a b' } }, /character/],
    'NUL in the URL': [{ fields: { 'WARC-Target-URI': 'http://a.test/\0' } }, /no field/], 'a host in two ways': [{ fields: { 'WARC-Target-URI': 'http://127.1/' } }, /dotted quad/], 'bytes above ASCII in the URL': [{ fields: { 'WARC-Target-URI': 'http://a.test/\xc3\xa9' } }, /character/],
    'two URLs': [{ extra: 'WARC-Target-URI: http://b.test/\r\n' }, /twice/], 'two types': [{ extra: 'warc-type: request\r\n' }, /twice/], 'a folded line': [{ extra: ' folded\r\n' }, /no field/], 'a bare LF': [{ extra: 'X: a\nb\r\n' }, /no field/], 'no colon': [{ extra: 'x\r\n' }, /no field/], 'a blank before the colon': [{ extra: 'X : y\r\n' }, /no field/],
    'no date': [{ fields: { 'WARC-Date': undefined } }, /WARC-Date/], 'no such date': [{ fields: { 'WARC-Date': '2020-02-31T00:00:00Z' } }, /WARC-Date/], 'a local date': [{ fields: { 'WARC-Date': '2020-02-03T04:05:06+01:00' } }, /WARC-Date/], 'a year alone': [{ fields: { 'WARC-Date': '2020' } }, /WARC-Date/],
    'truncated': [{ fields: { 'WARC-Truncated': 'length' } }, /cut short/], 'a digest that is none': [{ fields: { 'WARC-Payload-Digest': 'sha1:xyz' } }, /digest/], 'a digest of another length': [{ fields: { 'WARC-Block-Digest': `sha256:${'a'.repeat(40)}` } }, /digest/],
  }
  const answers: Readonly<Record<string, readonly [string, RegExp]>> = {
    'an empty block': ['', /no head/], 'no end of the head': ['HTTP/1.1 200 OK\r\nX: y\r\n', /no head/], 'a head too long': [answer('', [`X: ${'x'.repeat(70_000)}`]), /no head/], 'bare LF': ['HTTP/1.1 200 OK\nX: y\n\n', /no head/], 'no status line': ['hello\r\n\r\n', /not an HTTP answer/], 'HTTP/0.9': ['<html>\r\n\r\n', /not an HTTP/],
    'a request': ['GET / HTTP/1.1\r\n\r\n', /not an HTTP answer/], 'a status of two digits': [answer('', [], 'HTTP/1.1 20 OK'), /not an HTTP answer/], 'a folded field': [answer('', ['X: y', ' z']), /no field/], 'a field without a name': [answer('', [': y']), /no field/], 'NUL in a field': [answer('', ['X: \0']), /no field/], 'CR in a field': [answer('', ['X: a\rb']), /no field/],
    'another coding': [answer('x', ['Transfer-Encoding: gzip, chunked']), /Transfer-Encoding/], 'two codings': [answer('x', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked']), /Transfer-Encoding/], 'fewer bytes than it says': [answer('x', ['Content-Length: 2']), /Content-Length/], 'more bytes than it says': [answer('xyz', ['Content-Length: 2']), /Content-Length/],
  }
  const all = { ...broken, ...Object.fromEntries(Object.entries(answers).map(([what, [block, told]]) => [what, [{ block }, told] as const])) }
  for (const [what, [parts, told]] of Object.entries(all)) {
    const archive = Buffer.concat([good, record({ block: answer('x'), ...parts }), good])
    for (const bytes of [archive, gzipSync(archive)]) {
      const out = await read(bytes, [997])
      t.match(out, { pages: [goodPage, goodPage], stopped: undefined }, what)
      t.match(out.told, [told], what)
    }
    const strict = await read(archive, undefined, { isStrict: true })
    t.match(strict.stopped, told, `${what}, strictly`)
    t.equal(strict.pages.length, 1)
  }
})

t.test('content that is not what it should be is no content', async (t) => {
  const chunked = ['Transfer-Encoding: chunked']
  for (const [what, parts, told] of [
    ['payload', { fields: { 'WARC-Payload-Digest': `sha1:${'A'.repeat(32)}` }, block: answer('x') }, /WARC-Payload-Digest/], ['block', { fields: { 'WARC-Block-Digest': `sha256:${'0'.repeat(64)}` }, block: answer('x') }, /WARC-Block-Digest/], ['too large', { block: answer('x'.repeat(1_000_001)) }, /larger than 1000000/],
    ['no chunk', { block: answer('hello', chunked) }, /chunked/], ['a chunk cut short', { block: answer('5\r\nhel', chunked) }, /cut short/], ['no last chunk', { block: answer('5\r\nhello\r\n', chunked) }, /cut short/], ['no end of trailers', { block: answer('0\r\n', chunked) }, /cut short/], ['bytes behind', { block: answer('0\r\n\r\nx', chunked) }, /follow/],
    ['a size that is none', { block: answer('5x\r\nhello\r\n0\r\n\r\n', chunked) }, /size/], ['a negative size', { block: answer('-5\r\n', chunked) }, /size/], ['bare LF', { block: answer('0\n\n', chunked) }, /CRLF/], ['a longer chunk', { block: answer('1\r\nhello\r\n0\r\n\r\n', chunked) }, /CRLF/], ['a huge size', { block: answer('fffffffffffff\r\n', chunked) }, /size/], ['an endless line', { block: answer(`1;${'x'.repeat(5000)}`, chunked) }, /too long/], ['endless trailers', { block: answer(`0\r\n${'X: y\r\n'.repeat(20_000)}\r\n`, chunked) }, /trailer/],
  ] as const) {
    const out = await read(Buffer.concat([good, record(parts), good]), [4093])
    t.match(out, { pages: [goodPage, goodPage], stopped: undefined }, what)
    t.match(out.told, [told], what)
  }
})

t.test('digests are checked in either spelling, over the body as it is stored or without its chunks', async (t) => {
  const stored = '5\r\nhello\r\n0\r\n\r\n'
  const block = answer(stored, ['Transfer-Encoding: chunked'])
  const of = (algorithm: string, text: string): string => createHash(algorithm).update(text, 'latin1').digest('hex')
  for (const [name, value] of [
    ['WARC-Payload-Digest', `sha1:${of('sha1', 'hello')}`], ['WARC-Payload-Digest', 'sha1:VL2MMHO4YXUKFWV63YHTWSBM3GXKSQ2N'], ['WARC-Payload-Digest', `SHA-256:${of('sha256', stored).toUpperCase()}`], ['WARC-Payload-Digest', `sha256:${of('sha256', 'hello')}`], ['WARC-Block-Digest', `sha1:${of('sha1', block)}`], ['WARC-Payload-Digest', 'md5:anything'], ['WARC-Payload-Digest', 'blake3:x'],
  ] as const) t.strictSame(await read(record({ fields: { [name]: value }, block })), { pages: [['http://a.test/', 200, 'OK', [], 'hello']], told: [], stopped: undefined }, value)
})

t.test('a record that lies about its length, and one that is no record, end the reading', async (t) => {
  const hidden = record({ fields: { 'WARC-Target-URI': 'http://victim.test/' }, block: answer('evil') }).toString('latin1')
  const block = answer(`x${hidden}`)
  for (const [what, bytes, told] of [
    ['a length too small', record({ block, fields: { 'Content-Length': String(answer('x').length) } }), /Content-Length is wrong/], ['a length one too small', record({ block: answer('xy'), fields: { 'Content-Length': String(answer('x').length) } }), /Content-Length is wrong/], ['a length too large', record({ block: answer('x'), fields: { 'Content-Length': '999999' } }), /ends within/], ['a length one too large', record({ block: answer('x'), fields: { 'Content-Length': String(answer('xy').length) } }), /Content-Length is wrong/],
    ['no length', record({ fields: { 'Content-Length': undefined } }), /Content-Length/], ['two lengths', record({ extra: 'Content-Length: 0\r\n' }), /Content-Length/], ['a negative length', record({ fields: { 'Content-Length': '-1' } }), /Content-Length/], ['a length beyond numbers', record({ fields: { 'Content-Length': '9'.repeat(20) } }), /Content-Length/],
    ['one line end', record({ block: answer('x'), end: '\r\n' }), /Content-Length is wrong/], ['bare LFs', record({ block: answer('x'), end: '\n\n' }), /Content-Length is wrong/], ['another version', record({ version: 'WARC/2.0', block: answer('x') }), /not a WARC/], ['a page', Buffer.from(answer('x')), /not a WARC/], ['an endless head', record({ extra: `X: ${'x'.repeat(70_000)}\r\n` }), /no end within/],
    ['zeros', Buffer.alloc(100_000), /no end within/], ['text', Buffer.from('hello'), /WARC/], ['half a gzip member', gzipSync(good).subarray(0, -4), /gzip/], ['bytes behind gzip', Buffer.concat([gzipSync(good), Buffer.from('x')]), /gzip/], ['a bomb', gzipSync(record({ block: answer('\0'.repeat(30_000_000)) })), /100 times/],
  ] as const) {
    for (const archive of [bytes, Buffer.concat([bytes, good])]) {
      const out = await read(archive, [65_536])
      if (what === 'one line end' && archive === bytes) continue
      if (['a length one too large', 'bare LFs'].includes(what) && archive === bytes) t.match(out.stopped, /wrong|ends/, what)
      else t.match(out.stopped, told, what)
      t.notOk(out.pages.some(([url]) => url === 'http://victim.test/'), 'nothing that a page holds becomes a record')
    }
  }
  t.match(await read(Buffer.concat([good, Buffer.from('junk\r\n\r\n')])), { pages: [goodPage], stopped: /^x\.warc, byte \d+: not a WARC/ }, 'what came before stays')
})

t.test('a body that nobody reads, or not to its end, is passed over', async (t) => {
  const large = record({ block: answer('x'.repeat(300_000)) })
  const pages: ArchivedPage[] = []
  for await (const item of readWarc(inPieces(Buffer.concat([large, large, large, good]), [1000]), options)) {
    if (!('page' in item)) continue
    pages.push(item.page)
    if (pages.length === 2) for await (const _ of item.page.body) break
    if (pages.length === 4) t.equal((await collected(item.page.body)).toString(), 'hello')
  }
  t.equal(pages.length, 4)
  for (const at of [0, 2]) await t.rejects(collected(pages[at]?.body ?? inPieces(large)), /after the next record/)
})

t.test('a reader that leaves closes the archive', async (t) => {
  let isClosed: (() => void) | undefined
  const closed = new Promise<void>((resolve) => (isClosed = resolve))
  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield good
    } finally {
      isClosed?.()
    }
  }
  for await (const _ of readWarc(watched(), options)) break
  await closed
  t.pass('closed')
})

t.test('mutated archives give pages, messages or a stop, and nothing else', async () => {
  const base = Buffer.concat([record({ block: answer('hello', ['Content-Length: 5']) }), record({ block: answer('5\r\nhello\r\n0\r\n\r\n', ['Transfer-Encoding: chunked']), fields: { 'WARC-Payload-Digest': 'sha1:VL2MMHO4YXUKFWV63YHTWSBM3GXKSQ2N' } }), good])
  const change = fc.tuple(fc.nat({ max: base.length - 1 }), fc.oneof(fc.constantFrom(0, 10, 13, 32, 58), fc.integer({ min: 0, max: 255 })))
  await fc.assert(fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(20), fc.boolean(), async (changes, cut, isZipped) => {
    const bytes = Buffer.from(base)
    for (const [at, byte] of changes) bytes[at] = byte
    const archive = bytes.subarray(0, bytes.length - cut)
    const out = await read(isZipped ? gzipSync(archive) : archive, [333])
    return out.pages.length + out.told.length <= 3 || out.stopped !== undefined
  }), { numRuns: 500 })
})

t.test('an archive of any size is read with flat memory', async (t) => {
  const one = gzipSync(record({ block: answer(Array.from({ length: 20_000 }, (_, i) => String((i * 7919) % 10_007)).join(' ')) }))
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 1500; i++) yield one
  }
  const before = process.memoryUsage().rss
  let highest = before
  let bytes = 0
  for await (const item of readWarc(endless(), options)) {
    if (!('page' in item)) continue
    for await (const piece of item.page.body) bytes += piece.length
    highest = Math.max(highest, process.memoryUsage().rss)
  }
  t.ok(bytes > 100_000_000, `${bytes} bytes`)
  t.ok(highest - before <= 64 << 20, `${highest - before} bytes more in use`)
})
