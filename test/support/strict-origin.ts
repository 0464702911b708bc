// An origin that reads requests as RFC 9112 says and not one byte more kindly: what it has to complain
// about is what a proxy let through. Complaints are collected, never thrown.
import type { Socket } from 'node:net'
import type { Scope } from './scope.ts'
import { rawOrigin, type Origin } from './origins.ts'

export interface StrictRequest {
  readonly method: string
  readonly target: string
  /** as they came, name and value */
  readonly fields: readonly (readonly [string, string])[]
  readonly body: string
  /** the connection it came over, counted from 1 */
  readonly connection: number
}

export interface StrictOrigin extends Origin {
  /** whole requests */
  readonly requests: readonly StrictRequest[]
  /** what no valid request looks like, with the bytes */
  readonly complaints: readonly string[]
  /** requests whose body was still incomplete when the connection ended */
  readonly cut: () => number
  /** every byte that came */
  readonly received: () => string
}

export function fieldOf(request: StrictRequest | undefined, name: string): string | undefined {
  return request?.fields.find(([given]) => given.toLowerCase() === name)?.[1]
}

interface Parsed {
  readonly request: Omit<StrictRequest, 'connection'>
  readonly length: number
}

export type StrictAnswer = (request: StrictRequest, socket: Socket) => string | undefined

/** Answers each request 200 with its request line, or with what `answer` says. `listen` is for what is not plain TCP. */
export async function strictOrigin(
  t: Scope, answer?: StrictAnswer, listen = (serve: (socket: Socket) => void): Promise<Origin> => rawOrigin(t, serve),
): Promise<StrictOrigin> {
  const requests: StrictRequest[] = []
  const complaints: string[] = []
  let cut = 0
  let received = ''
  let connections = 0
  const origin = await listen((socket) => {
    connections += 1
    const connection = connections
    let waiting = ''
    socket.on('data', (chunk) => {
      const text = chunk.toString('latin1')
      received += text
      waiting += text
      for (;;) {
        let parsed: Parsed | undefined
        try {
          parsed = parse(waiting)
        } catch (error) {
          complaints.push(`${error instanceof Error ? error.message : String(error)}: ${JSON.stringify(waiting.slice(0, 400))}`)
          socket.destroy()
          return
        }
        if (parsed === undefined) return
        waiting = waiting.slice(parsed.length)
        const request = { ...parsed.request, connection }
        requests.push(request)
        socket.write(answer === undefined ? ok(`${request.method} ${request.target}\n`) : (answer(request, socket) ?? ''))
      }
    })
    socket.on('end', () => socket.end())
    socket.on('close', () => {
      if (waiting !== '') cut += 1
    })
  })
  return { ...origin, requests, complaints, cut: () => cut, received: () => received }
}

export function ok(body: string, more = ''): string {
  return `HTTP/1.1 200 OK\r\n${more}Content-Length: ${Buffer.byteLength(body, 'latin1')}\r\n\r\n${body}`
}

function parse(text: string): Parsed | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) {
    if (/\n/.test(text.replaceAll('\r\n', ''))) throw new Error('a bare LF in the head')
    return undefined
  }
  const [first = '', ...lines] = text.slice(0, end).split('\r\n')
  const line = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\/[\x21-\x7e]*|\*) HTTP\/1\.1$/.exec(first)
  if (line === null) throw new Error('no origin-form request line')
  const fields = lines.map((field): readonly [string, string] => {
    const parsed = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*$/.exec(field)
    if (parsed === null) throw new Error('no field line')
    return [parsed[1] ?? '', parsed[2] ?? '']
  })
  const framed = readBody(text.slice(end + 4), checkFields(fields))
  if (framed === undefined) return undefined
  return { request: { method: line[1] ?? '', target: line[2] ?? '', fields, body: framed.body }, length: end + 4 + framed.length }
}

type Framing = { readonly kind: 'none' } | { readonly kind: 'length'; readonly bytes: number } | { readonly kind: 'chunked' }

function checkFields(fields: readonly (readonly [string, string])[]): Framing {
  const all = (name: string): string[] => fields.filter(([given]) => given.toLowerCase() === name).map(([, value]) => value)
  if (all('host').length !== 1 || all('host')[0] === '') throw new Error('not exactly one Host')
  const lengths = all('content-length')
  const codings = all('transfer-encoding')
  if (lengths.length > 1 || codings.length > 1 || (lengths.length > 0 && codings.length > 0)) throw new Error('framing is said twice')
  for (const name of ['proxy-authorization', 'proxy-connection', 'keep-alive', 'te', 'trailer', 'http2-settings', 'expect']) {
    if (all(name).length > 0) throw new Error(`hop-by-hop field ${name}`)
  }
  const options = all('connection').join(',').toLowerCase()
  if (!['', 'keep-alive', 'close', 'upgrade'].includes(options)) throw new Error(`Connection: ${options}`)
  if (codings.length > 0) {
    if (codings[0] !== 'chunked') throw new Error(`Transfer-Encoding: ${codings[0]}`)
    return { kind: 'chunked' }
  }
  const [length] = lengths
  if (length === undefined) return { kind: 'none' }
  if (!/^(?:0|[1-9][0-9]{0,14})$/.test(length)) throw new Error(`Content-Length: ${length}`)
  return { kind: 'length', bytes: Number(length) }
}

function readBody(rest: string, framing: Framing): { readonly body: string; readonly length: number } | undefined {
  if (framing.kind === 'none') return { body: '', length: 0 }
  if (framing.kind === 'length') return rest.length < framing.bytes ? undefined : { body: rest.slice(0, framing.bytes), length: framing.bytes }
  let body = ''
  let at = 0
  for (;;) {
    const end = rest.indexOf('\r\n', at)
    if (end < 0) return undefined
    const size = rest.slice(at, end)
    if (!/^[0-9a-fA-F]{1,8}$/.test(size)) throw new Error(`chunk size ${JSON.stringify(size)}`)
    const bytes = Number.parseInt(size, 16)
    const next = end + 2 + bytes
    if (rest.length < next + 2) return undefined
    // no proxy passes request trailers on here: the last chunk is followed by an empty line
    if (rest.slice(next, next + 2) !== '\r\n') throw new Error('a chunk does not end in CRLF')
    if (bytes === 0) return { body, length: next + 2 }
    body += rest.slice(end + 2, next)
    at = next + 2
  }
}
