// The text that the bytes of a page are: by its byte order mark, the charset of its Content-Type, or what it says of
// itself in its first kilobyte, in this order (HTML section 13.2.3.2). Pure. Bytes that are no text become U+FFFD.

const firstBytes = 1024
const charsetParameter = /;[\t ]*charset[\t ]*=[\t ]*"?([A-Za-z0-9_.:-]{1,40})/i
const metaCharset = /<meta[^>]{0,200}?charset[\t\n\f\r ]{0,10}=[\t\n\f\r ]{0,10}["']?([A-Za-z0-9_.:-]{1,40})/i

/** `contentType`: value of the field, '' for none. */
export function pageText(bytes: Uint8Array, contentType: string): string {
  const label = markOf(bytes) ?? charsetParameter.exec(contentType)?.[1] ?? statedIn(bytes)
  return (decoderOf(label) ?? ofUtf8(bytes)).decode(bytes)
}

function markOf([a, b, c]: Uint8Array): string | undefined {
  if (a === 0xef && b === 0xbb && c === 0xbf) return 'utf-8'
  if (a === 0xff && b === 0xfe) return 'utf-16le'
  return a === 0xfe && b === 0xff ? 'utf-16be' : undefined
}

/** What could be read to say so is not UTF-16. */
function statedIn(bytes: Uint8Array): string | undefined {
  const label = metaCharset.exec(Buffer.from(bytes.subarray(0, firstBytes)).toString('latin1'))?.[1]
  return label !== undefined && /^utf-?16/i.test(label) ? 'utf-8' : label
}

/** undefined: nobody knows it. */
function decoderOf(label: string | undefined): TextDecoder | undefined {
  if (label === undefined) return undefined
  try {
    return new TextDecoder(label)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

function ofUtf8(bytes: Uint8Array): TextDecoder {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return new TextDecoder('utf-8')
  } catch (error) {
    if (error instanceof TypeError) return new TextDecoder('windows-1252')
    throw error
  }
}
