// The chunked coding of an archived answer (RFC 9112 section 7.1), undone strictly and as a stream. What is not exactly
// the coding, or goes on behind its end, must never pass as content.

const sizeLine = /^0*([0-9A-Fa-f]{1,12})[\t\x20]*(?:;[^\r\n]*)?$/
const maxLine = 4096
const maxTrailers = 64 * 1024
const carriageReturn = 0x0d
const lineFeed = 0x0a

/** What is no chunked coding. */
export class ChunkedFault extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'ChunkedFault'
  }
}

/** The content of `source`; extensions and trailers are dropped. Throws ChunkedFault, and what `source` throws. */
export async function* withoutChunks(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let part: 'size' | 'data' | 'end' | 'trailers' | 'done' = 'size'
  let left = 0
  let line = ''
  let trailerBytes = 0
  for await (const bytes of source) {
    let at = 0
    while (at < bytes.length) {
      if (part === 'done') throw new ChunkedFault('bytes follow the last chunk')
      if (part === 'data') {
        const end = Math.min(bytes.length, at + left)
        yield bytes.subarray(at, end)
        left -= end - at
        at = end
        if (left === 0) part = 'end'
        continue
      }
      const feed = bytes.indexOf(lineFeed, at)
      const end = feed === -1 ? bytes.length : feed + 1
      if (line.length + end - at > maxLine) throw new ChunkedFault('a line of the chunked coding is too long')
      line += Buffer.from(bytes.buffer, bytes.byteOffset + at, end - at).toString('latin1')
      at = end
      if (feed === -1) continue
      const text = withoutEnd(line)
      line = ''
      if (part === 'end') {
        if (text !== '') throw new ChunkedFault('a chunk does not end in CRLF')
        part = 'size'
      } else if (part === 'size') {
        left = sizeOf(text)
        part = left === 0 ? 'trailers' : 'data'
      } else if (text === '') {
        part = 'done'
      } else {
        trailerBytes += text.length
        if (trailerBytes > maxTrailers) throw new ChunkedFault('too many trailer fields')
      }
    }
  }
  if (part !== 'done') throw new ChunkedFault('the chunked content is cut short')
}

function withoutEnd(line: string): string {
  if (line.charCodeAt(line.length - 2) !== carriageReturn) throw new ChunkedFault('a line of the chunked coding does not end in CRLF')
  return line.slice(0, -2)
}

function sizeOf(line: string): number {
  const [, size] = sizeLine.exec(line) ?? []
  if (size === undefined) throw new ChunkedFault('a chunk size is none')
  return Number.parseInt(size, 16)
}
