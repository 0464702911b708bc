// Bytes of an archive, for one reader after another.
import t from 'tap'
import { ArchiveBytes } from '../../src/cache/archive-bytes.ts'
import * as fc from '../support/property.ts'
import { anyLengths, inPieces } from './entries.ts'

t.test('heads end at the first empty line, in whatever pieces they come', async () => {
  const soup = fc.array(fc.constantFrom('\r', '\n', '\r\n', '\r\n\r\n', 'a', 'b\r'), { maxLength: 12 }).map((parts) => parts.join(''))
  await fc.assert(fc.asyncProperty(soup, anyLengths, fc.integer({ min: 1, max: 20 }), async (text, lengths, most) => {
    const bytes = new ArchiveBytes(inPieces(Buffer.from(text), lengths))
    const end = text.indexOf('\r\n\r\n')
    const isFound = end !== -1 && end + 4 <= most
    const head = await bytes.head(most)
    return head === (isFound ? text.slice(0, end) : undefined) && bytes.offset === (isFound ? end + 4 : Math.min(most, text.length))
  }), { numRuns: 1000 })
})

t.test('a reader that was given up takes nothing that is behind its end', async (t) => {
  let feed: ((chunk: Uint8Array) => void) | undefined
  async function* source(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('ab')
    yield await new Promise<Uint8Array>((resolve) => (feed = resolve))
  }
  const bytes = new ArchiveBytes(source())
  t.equal((await bytes.exactly(2)).toString(), 'ab')
  const givenUp = bytes.take(4)
  const skipping = bytes.skipTo(4)
  await new Promise((resolve) => setImmediate(resolve))
  feed?.(Buffer.from('cdEF'))
  t.equal((await givenUp)?.toString(), 'cd')
  t.equal(await skipping, true)
  t.equal((await bytes.exactly(9)).toString(), 'EF')
  t.equal(await bytes.isAtEnd(), true)
  t.equal(await bytes.skipTo(7), false)
})
