// Heads of every kind, and what node's strict parser makes of them beside what is read without it: whatever is
// taken, the parser must read the same way, and be done with it.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Duplex } from 'node:stream'
import { readPlainHead, type TargetForm } from '../../src/ingress/plain-head.ts'
import * as fc from '../support/property.ts'
import { byte, damaged, fieldLines, lineEnd, often, version } from './head-arbitraries.ts'

export const maxBytes = 4096

interface Reading {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly httpVersion: string
  readonly rawHeaders: readonly string[]
  readonly isKeptAlive: boolean
  /** the body is over, and there was none */
  readonly isWhole: boolean
}

/** everything that came out of the parser, in order; the last is the request that was sent behind */
type Parsed = readonly (Reading | string)[]

const behind = 'GET http://behind.test/ HTTP/1.1\r\nHost: behind.test\r\n\r\n'
const behindReading: Reading = { method: 'GET', url: 'http://behind.test/', httpVersion: '1.1', rawHeaders: ['Host', 'behind.test'], isKeptAlive: true, isWhole: true }

export class StrictParser {
  readonly #server: Server
  readonly #seen = new WeakMap<Duplex, (Reading | string)[]>()

  constructor() {
    // as the front makes it, without a listener of its own
    const server = createServer({ insecureHTTPParser: false, requireHostHeader: false, maxHeaderSize: maxBytes, highWaterMark: 65_536 })
    server.maxHeadersCount = 0
    server.on('request', (request, response) => this.#request(request, response, ''))
    server.on('checkContinue', (request, response) => this.#request(request, response, 'expects'))
    server.on('checkExpectation', (request, response) => this.#request(request, response, 'expects'))
    server.on('connect', (_request, duplex) => this.#seen.get(duplex)?.push('connect'))
    server.on('upgrade', (_request, duplex) => this.#seen.get(duplex)?.push('upgrade'))
    server.on('clientError', (error: NodeJS.ErrnoException, duplex) => this.#seen.get(duplex)?.push(error.code ?? 'error'))
    this.#server = server
  }

  #request(request: IncomingMessage, response: ServerResponse, what: string): void {
    const seen = this.#seen.get(request.socket)
    if (what !== '') seen?.push(what)
    let bytes = 0
    request.on('data', (chunk: Buffer) => (bytes += chunk.length))
    request.on('error', () => seen?.push('cut'))
    const { method, url, httpVersion, rawHeaders } = request
    setImmediate(() => {
      seen?.push({ method, url, httpVersion, rawHeaders, isKeptAlive: response.shouldKeepAlive, isWhole: request.complete && bytes === 0 })
      response.shouldKeepAlive = true
      response.end()
    })
  }

  /** What comes out when `bytes` are all that came, and a plain request after them. */
  async read(bytes: Buffer): Promise<Parsed> {
    const duplex = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() })
    const seen: (Reading | string)[] = []
    this.#seen.set(duplex, seen)
    duplex.on('error', () => duplex.destroy())
    duplex.push(bytes)
    this.#server.emit('connection', duplex)
    for (const more of [behind, '']) {
      await new Promise<void>((resolve) => setImmediate(() => setImmediate(() => setImmediate(resolve))))
      if (more !== '' && !duplex.destroyed) duplex.push(Buffer.from(more, 'latin1'))
    }
    duplex.destroy()
    return seen
  }
}

export function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

/** What is wrong with how `text` is taken; undefined when it is left, or read the same way. */
export async function plainHeadFault(parser: StrictParser, text: string, form: TargetForm): Promise<{ readonly isTaken: boolean; readonly fault: string | undefined }> {
  const bytes = latin1(text)
  const head = readPlainHead(bytes, maxBytes, form)
  if (head === undefined) return { isTaken: false, fault: undefined }
  const { method, url, rawHeaders, isKeptAlive } = head
  const taken: Reading = { method, url, httpVersion: '1.1', rawHeaders, isKeptAlive, isWhole: true }
  const parsed = await parser.read(bytes)
  // a connection that its client closes is parsed no further
  const wanted = JSON.stringify(isKeptAlive ? [taken, behindReading] : [taken])
  const found = JSON.stringify(isKeptAlive ? parsed : parsed.slice(0, 1))
  return { isTaken: true, fault: wanted === found ? undefined : `${JSON.stringify(text)}: taken as ${wanted}, parsed as ${JSON.stringify(parsed)}` }
}

const method = often(['GET ', 'HEAD '], ['get ', 'Get ', 'GET  ', 'GET\t', ' GET ', '\r\nGET ', 'GET', 'POST ', 'PUT ', 'DELETE ', 'OPTIONS ', 'TRACE ', 'CONNECT ', 'GETX ', 'GE ', 'HEADER ', 'HEA', 'PRI ', 'SOURCE ', 'DESCRIBE ', 'QUERY '])
const authority = often(
  ['a.test', 'a.test:80', 'xn--bcher-kva.example:8080', '127.0.0.1:1', '[::1]:80', 'A.Test', 'a-b.test'],
  ['', ':', ':80', 'a.test:', 'a.test:80:80', '[', ']', '[::1', '-', '.', '..', 'a_b.test', 'user@a.test', 'u:p@a.test', 'a%2etest', 'b\xfccher.test', 'a test', 'a\ttest', 'a\0test', 'a.test\\', `${'a.'.repeat(900)}test`, '[fe80::1%25eth0]', '@', '*', 'a,b', '[[::1]]', '[a]b[c]:d'],
)
const scheme = often(['http://'], ['HTTP://', 'Http://', 'https://', 'ftp://', 'ws://', 'http:/', 'http:', '//', '', '/', 'http:///', 'h://', 'http//', 'http ://', '1://'])
const path = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom('/', '/a', '/a/b?c=d', '/?', '/a%20b', '/a;b=c,d', '/@types%2fnode', '/~a/(b)!$&\'*+=:@-._', '/[x]', '/a?b?c/d', '//a', '/../b', '/%') },
  { weight: 3, arbitrary: fc.constantFrom('', '?', '?a=b', '/a#b', '#', '/a b', '/"', '/<>', '/\\', '/^`{|}', '/\x7f', '/\xe9', '/\t', '/\x0c', '*', `/${'a'.repeat(5000)}`, '/\0') },
  { weight: 1, arbitrary: fc.string({ unit: byte, maxLength: 8 }).map((text) => `/${text}`) },
)
const fields = fieldLines(['Host', 'User-Agent', 'Proxy-Connection', 'Proxy-Authorization', 'X-Odd', 'Accept', 'Connection'], 'a.test')
const rest = fc.oneof({ weight: 9, arbitrary: fc.constant('') }, { weight: 1, arbitrary: fc.constantFrom('x', 'GET http://b.test/ HTTP/1.1\r\n\r\n', '\r\n', '\0', ' ', '\n', '\r\n\r\n') })
const absoluteTarget = fc.tuple(scheme, authority, path).map((parts) => parts.join(''))
const targets: Readonly<Record<TargetForm, fc.Arbitrary<string>>> = {
  absolute: absoluteTarget,
  origin: fc.oneof({ weight: 12, arbitrary: path }, { weight: 1, arbitrary: absoluteTarget }),
}
const headOf = (form: TargetForm): fc.Arbitrary<string> => fc.tuple(method, targets[form], version, lineEnd, fields, lineEnd, rest)
  .map(([verb, target, http, end, lines, last, more]) => `${verb}${target}${http}${end}${lines.join('')}${last}${more}`)

export const damagedHead = (form: TargetForm): fc.Arbitrary<string> => damaged(headOf(form))
