// A collector that keeps nothing of a record but its number, so that hundreds of thousands can be counted: what came,
// what came twice, what came out of order. It can be away, slow, or refuse, and come back on the same port.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { gunzipSync } from 'node:zlib'
import type { Scope } from './scope.ts'

export interface SequenceCollector {
  readonly endpoint: string
  /** different records */
  readonly distinct: number
  readonly duplicates: number
  /** most records of one post that had come before */
  readonly mostDuplicatesInPost: number
  /** a record that came for the first time after one with a higher number */
  readonly outOfOrder: number
  /** time of the first post since it was last opened, `ms` of performance.now() */
  readonly firstPostMs: number | undefined
  missing(lastSeq: number): number
  open(): Promise<void>
  close(): Promise<void>
}

const key = Buffer.from('sallyport.seq')

/** The numbers of the records in an OTLP request in protobuf: key, then AnyValue { int_value }. */
export function sequencesIn(body: Buffer): number[] {
  const found: number[] = []
  for (let at = body.indexOf(key); at !== -1; at = body.indexOf(key, at + key.length)) {
    // 0x12 length 0x18 varint
    let place = at + key.length + 3
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = body[place++] ?? 0
      value += (byte & 0x7f) * factor
      if (byte < 0x80) break
    }
    found.push(value)
  }
  return found
}

export async function sequenceCollector(t: Scope): Promise<SequenceCollector> {
  const seen = new Set<number>()
  const state = { duplicates: 0, mostDuplicatesInPost: 0, outOfOrder: 0, highest: 0, firstPostMs: undefined as number | undefined, port: 0 }
  const take = (body: Buffer): void => {
    state.firstPostMs ??= performance.now()
    let again = 0
    for (const seq of sequencesIn(body)) {
      if (seen.has(seq)) again++
      else if (seq < state.highest) state.outOfOrder++
      seen.add(seq)
      state.highest = Math.max(state.highest, seq)
    }
    state.duplicates += again
    state.mostDuplicatesInPost = Math.max(state.mostDuplicatesInPost, again)
  }
  const respond = (request: IncomingMessage, response: ServerResponse): void => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      take(gunzipSync(Buffer.concat(chunks)))
      response.writeHead(200, { 'content-type': 'application/x-protobuf', 'content-length': 0 }).end()
    })
  }
  let server: Server | undefined
  const open = async (): Promise<void> => {
    const opened = createServer(respond)
    await new Promise<void>((resolve) => opened.listen(state.port, '127.0.0.1', resolve))
    const address = opened.address()
    if (typeof address === 'object' && address !== null) state.port = address.port
    state.firstPostMs = undefined
    server = opened
  }
  const close = async (): Promise<void> => {
    const closing = server
    server = undefined
    if (closing === undefined) return
    closing.closeAllConnections()
    await new Promise((resolve) => closing.close(resolve))
  }
  await open()
  t.teardown(close)
  return {
    endpoint: `http://127.0.0.1:${state.port}/v1/logs`,
    get distinct() { return seen.size },
    get duplicates() { return state.duplicates },
    get mostDuplicatesInPost() { return state.mostDuplicatesInPost },
    get outOfOrder() { return state.outOfOrder },
    get firstPostMs() { return state.firstPostMs },
    missing: (lastSeq) => {
      let count = 0
      for (let seq = 1; seq <= lastSeq; seq++) if (!seen.has(seq)) count++
      return count
    },
    open,
    close,
  }
}
