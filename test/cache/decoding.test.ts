// Content codings undone: the same bytes come out however they came in, and what is broken, too large or a bomb does not.
import t from 'tap'
import { brotliCompressSync, constants, createBrotliCompress, createGzip, createZstdCompress, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Transform } from 'node:stream'
import { contentCoding, decoded } from '../../src/cache/decoding.ts'
import type { ContentCoding } from '../../src/cache/decoding.ts'
import * as fc from '../support/property.ts'
import { anyLengths, collected, inPieces } from './entries.ts'

const coders: Readonly<Record<ContentCoding, (bytes: Uint8Array) => Buffer>> = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync, zstd: zstdCompressSync }
const codings: readonly ContentCoding[] = ['gzip', 'deflate', 'br', 'zstd']
const limits = { maxBytes: 1_000_000 }
const noise = Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 7919 + (i >> 3) * 104729) & 0xff))

t.test('content comes out as it went in, through one coding or two, in whatever pieces', async () => {
  await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 3000 }), fc.array(fc.constantFrom(...codings), { maxLength: 2 }), anyLengths, async (content, applied, lengths) => {
    let bytes: Uint8Array = content
    for (const coding of applied) bytes = coders[coding](bytes)
    const out = await collected(decoded(inPieces(bytes, lengths), applied, limits))
    return out.equals(content)
  }), { numRuns: 60 })
})

t.test('names of codings are read in any case; what is not known is none', async (t) => {
  t.equal(contentCoding('GZip'), 'gzip')
  t.equal(contentCoding('x-gzip'), 'gzip')
  t.equal(contentCoding('zstd'), 'zstd')
  for (const name of ['compress', 'identity', '', 'gzip ', '__proto__', 'constructor', 'dcb']) t.equal(contentCoding(name), undefined, name)
})

t.test('more than two codings are not undone', async (t) => {
  t.throws(() => decoded(inPieces(noise), ['gzip', 'gzip', 'gzip'], limits), { name: 'DecodingFault', kind: 'broken' })
})

t.test('what is cut short, damaged, of another coding or followed by anything is refused', async (t) => {
  for (const coding of codings) {
    const good = coders[coding](noise)
    for (const [what, bytes] of Object.entries({
      'one byte short': good.subarray(0, -1), 'half of it': good.subarray(0, good.length >> 1), 'one byte of it': good.subarray(0, 1), 'text behind': Buffer.concat([good, Buffer.from('x')]), 'zeros behind': Buffer.concat([good, Buffer.alloc(8)]),
      'no coding at all': noise, 'another coding': coders[coding === 'gzip' ? 'br' : 'gzip'](noise),
    })) {
      for (const lengths of [[bytes.length], [100], [1]]) {
        await t.rejects(collected(decoded(inPieces(bytes, lengths), [coding], limits)), { name: 'DecodingFault', kind: 'broken' }, `${coding}: ${what}`)
      }
    }
    t.equal((await collected(decoded(inPieces(Buffer.alloc(0)), [coding], limits))).length, 0, 'nothing is nothing in any coding')
  }
  await t.rejects(collected(decoded(inPieces(Buffer.concat([gzipSync('a'), gzipSync('b')])), ['gzip'], limits)), { name: 'DecodingFault', kind: 'broken' }, 'a second member')
  t.equal((await collected(decoded(inPieces(Buffer.concat([gzipSync('a'), gzipSync('b')])), ['gzip'], { ...limits, allowMembers: true }))).toString(), 'ab')
})

t.test('mutated content gives a fault of ours or bytes within the limit, and nothing else', async () => {
  await fc.assert(fc.asyncProperty(fc.constantFrom(...codings), fc.array(fc.tuple(fc.nat({ max: 5000 }), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 }), async (coding, changes) => {
    const bytes = Buffer.from(coders[coding](noise))
    for (const [at, by] of changes) bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ by
    try {
      return (await collected(decoded(inPieces(bytes, [512]), [coding], limits))).length <= limits.maxBytes
    } catch (error) {
      return error instanceof Error && error.name === 'DecodingFault'
    }
  }), { numRuns: 150 })
})

t.test('content is as large as its limit and no larger, coded or not', async (t) => {
  for (const applied of [[], ['gzip'], ['br']] as const) {
    let bytes: Buffer = noise
    for (const coding of applied) bytes = coders[coding](noise)
    // a limit holds for every step on the way
    const exact = Math.max(noise.length, bytes.length)
    t.equal((await collected(decoded(inPieces(bytes), applied, { maxBytes: exact }))).length, noise.length)
    await t.rejects(collected(decoded(inPieces(bytes), applied, { maxBytes: noise.length - 1 })), { name: 'DecodingFault', kind: 'too_large' })
  }
})

t.test('a hundred times is the most that content may grow beyond 64 KiB', async (t) => {
  const small = gzipSync(Buffer.alloc(64 * 1024))
  t.equal((await collected(decoded(inPieces(small), ['gzip'], limits))).length, 64 * 1024, 'small content is judged by its size')
  await t.rejects(collected(decoded(inPieces(gzipSync(Buffer.alloc(400_000))), ['gzip'], limits)), { name: 'DecodingFault', kind: 'ratio' })
  const twice = gzipSync(gzipSync(Buffer.alloc(900_000)))
  await t.rejects(collected(decoded(inPieces(twice), ['gzip', 'gzip'], limits)), { name: 'DecodingFault', kind: 'ratio' })
})

/** So many zeros in this coding, as bytes. */
async function bomb(coder: Transform, bytes: number): Promise<Buffer> {
  const piece = Buffer.alloc(1 << 20)
  const zeros = Readable.from((function* () {
    for (let at = 0; at < bytes; at += piece.length) yield piece
  })())
  return collected(zeros.pipe(coder))
}

t.test('a bomb of 1 GiB ends at the limit, and memory stays flat', async (t) => {
  const gigabyte = 1 << 30
  const gzipped = await bomb(createGzip({ level: 1 }), gigabyte)
  const bombs: Readonly<Record<string, readonly [Buffer, readonly ContentCoding[]]>> = {
    gzip: [gzipped, ['gzip']],
    'gzip twice': [gzipSync(gzipped), ['gzip', 'gzip']],
    br: [await bomb(createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }), gigabyte), ['br']],
    zstd: [await bomb(createZstdCompress(), gigabyte), ['zstd']],
  }
  for (const [name, [bytes, applied]] of Object.entries(bombs)) {
    const before = process.memoryUsage().rss
    let highest = before
    let given = 0
    const reading = (async () => {
      for await (const piece of decoded(inPieces(bytes, [1024]), applied, { maxBytes: 50 << 20 })) {
        given += piece.length
        highest = Math.max(highest, process.memoryUsage().rss)
      }
    })()
    await t.rejects(reading, { name: 'DecodingFault', kind: 'ratio' }, `${name}: 1 GiB in ${bytes.length} bytes`)
    t.ok(given <= 64 * 1024 + 100 * bytes.length, `${name}: ${given} bytes came out of ${bytes.length}`)
    t.ok(highest - before <= 64 << 20, `${name}: ${highest - before} bytes more in use`)
  }
})

t.test('the size limit ends a bomb whose ratio stays below its limit, with flat memory', async (t) => {
  // each block of noise once and then zeros: about 50 times
  const block = gzipSync(Buffer.concat([randomBytes(3000), Buffer.alloc(150_000)]))
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) yield block
  }
  const before = process.memoryUsage().rss
  let highest = before
  const reading = (async () => {
    for await (const _ of decoded(endless(), ['gzip'], { maxBytes: 200 << 20, allowMembers: true })) highest = Math.max(highest, process.memoryUsage().rss)
  })()
  await t.rejects(reading, { name: 'DecodingFault', kind: 'too_large' })
  t.ok(highest - before <= 64 << 20, `${highest - before} bytes more in use`)
})

t.test('a fault of the source is passed on as it is, and a reader that leaves closes the source', async (t) => {
  const fault = new Error('the disk is gone')
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield gzipSync(noise).subarray(0, 100)
    throw fault
  }
  await t.rejects(collected(decoded(failing(), ['gzip'], limits)), fault)
  let isClosed: (() => void) | undefined
  const closed = new Promise<void>((resolve) => (isClosed = resolve))
  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield gzipSync(noise)
    } finally {
      isClosed?.()
    }
  }
  for await (const _ of decoded(watched(), ['gzip'], { ...limits, allowMembers: true })) break
  await closed
  t.pass('closed')
})
