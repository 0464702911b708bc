// WARC records written by hand, so that each part of one can be wrong.
const crlf = '\r\n'

export interface RecordParts {
  readonly version?: string
  readonly fields?: Readonly<Record<string, string | undefined>>
  readonly extra?: string
  readonly block?: string
  /** behind the block */
  readonly end?: string
}

/** A record of bytes as Latin-1; fields of undefined are left out. */
export function record({ version = 'WARC/1.1', fields = {}, extra = '', block = '', end = crlf + crlf }: RecordParts): Buffer {
  const named = { 'WARC-Type': 'response', 'WARC-Record-ID': '<urn:uuid:1>', 'WARC-Date': '2020-02-03T04:05:06Z', 'WARC-Target-URI': 'http://a.test/', 'Content-Type': 'application/http;msgtype=response', 'Content-Length': String(block.length), ...fields }
  const lines = Object.entries(named).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]))
  return Buffer.from([version, ...lines].join(crlf) + crlf + extra + crlf + block + end, 'latin1')
}

/** An HTTP answer as a block. */
export function answer(body: string, fields: readonly string[] = [], first = 'HTTP/1.1 200 OK'): string {
  return [first, ...fields, '', body].join(crlf)
}

export const capturedMs = Date.UTC(2020, 1, 3, 4, 5, 6)
