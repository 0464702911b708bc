// An answer on a bare socket beside node's own: the same calls write the same bytes, and what could end a line is
// not written at all.
import { createServer } from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import tls, { type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import type { ClientResponse } from '../../src/egress/client-leg.ts'
import { knownHead, PlainAnswer, type AnswerPlace, type RenderedAnswer } from '../../src/ingress/plain-answer.ts'
import { testCertificates } from '../support/certificates.ts'
import * as fc from '../support/property.ts'
import { readAnswers, say } from '../support/wire-client.ts'

type Program = (answer: ClientResponse) => void

const date = 'Sat, 21 Nov 2026 00:00:00 GMT'

/** Ports of two servers that answer every request by what `program` holds: node's, and a bare one. */
async function servers(t: Test, program: { run: Program }): Promise<{ readonly node: number; readonly bare: number }> {
  const node = createServer({ keepAliveTimeout: 60_000 }, (_request, response) => program.run(response))
  const bare = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy())
    socket.once('data', (bytes: Buffer) => program.run(new PlainAnswer(placeOn(socket), bytes.toString('latin1').startsWith('HEAD'))))
  })
  const ports: number[] = []
  for (const server of [node, bare]) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => server.close())
    const address: AddressInfo | string | null = server.address()
    ports.push(address === null || typeof address === 'string' ? 0 : address.port)
  }
  return { node: ports[0] ?? 0, bare: ports[1] ?? 0 }
}

function placeOn(socket: Socket): AnswerPlace {
  return { socket, keptLines: 'Connection: keep-alive\r\nKeep-Alive: timeout=60\r\n', isLast: true, date: () => date, finished: () => socket.destroySoon() }
}

/** Head as it came, body and framing as they are read. */
function reading(received: string, method: string): readonly unknown[] {
  const [answer, ...more] = readAnswers(received, [method])
  return [received.slice(0, received.indexOf('\r\n\r\n') + 4).replace(/^Date: .*$/m, 'Date'), answer?.body, answer?.isWhole, more.length]
}

const text = fc.string({ unit: fc.constantFrom('a', 'b', '\0', '\r', '\n', '\xff', ' '), maxLength: 40 })
const chunks = fc.array(fc.oneof({ weight: 5, arbitrary: text }, { weight: 1, arbitrary: fc.constantFrom('z'.repeat(20_000), 'y'.repeat(16_384), 'x'.repeat(100_000)) }), { maxLength: 5 })
const name = fc.constantFrom('X-A', 'x-b', 'Vary', 'Server', 'ETag', 'Set-Cookie', 'Content-Type', 'Via', 'Data', 'Content-Lengths')
const answers = fc.record({
  method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD'),
  status: fc.constantFrom(200, 200, 200, 201, 204, 206, 304, 400, 404, 503, 599),
  reason: fc.constantFrom('OK', '', 'Not Found', 'a b\tc'),
  fields: fc.array(fc.tuple(name, fc.constantFrom('', 'a', 'a b', 'caf\xe9', 'tab\tin', 'a, b')), { maxLength: 6 }),
  isKnown: fc.boolean(),
  dated: fc.boolean(),
  closes: fc.boolean(),
  chunks,
  isSized: fc.boolean(),
  flushes: fc.boolean(),
  later: fc.boolean(),
  trailers: fc.array(fc.tuple(fc.constantFrom('X-Sum', 'X-End'), fc.constantFrom('', '1', 'a b')), { maxLength: 2 }),
})

t.test('the same calls write what node\'s answer writes', async (t) => {
  const program: { run: Program } = { run: () => undefined }
  const { node, bare } = await servers(t, program)
  await fc.assert(fc.asyncProperty(answers, async ({ method, status, reason, fields, isKnown, dated, closes, chunks: parts, isSized, flushes, later, trailers }) => {
    const whole = parts.join('')
    // where there is no body nobody writes one, and a length is not said of 204
    const isSaid = isSized && status !== 204
    const hasBody = method !== 'HEAD' && status !== 204 && status !== 304
    program.run = (answer) => {
      const known = [...fields.slice(0, 3).flat(), ...(dated ? ['date', date] : []), ...(isSaid ? ['content-Length', String(whole.length)] : []), ...(closes ? ['Connection', 'close'] : [])]
      const more = fields.slice(3).flat()
      if (isKnown && answer.writeKnownHead !== undefined) answer.writeKnownHead(knownHead(status, reason, known), more)
      else answer.writeHead(status, reason, [...known, ...more])
      // node makes UTF-8 of a head that it flushes, which changes what is above ASCII
      if (flushes && !/[\x80-\xff]/.test(fields.flat().join(''))) answer.flushHeaders()
      const finish = (): void => {
        for (const part of hasBody ? parts.slice(0, -1) : []) answer.write(Buffer.from(part, 'latin1'))
        if (answer.chunkedEncoding && trailers.length > 0) answer.addTrailers(trailers)
        const last = parts.at(-1)
        if (!hasBody || last === undefined) answer.end()
        else if (last.length <= 16_384) answer.end(last, 'latin1')
        else answer.end(Buffer.from(last, 'latin1'))
      }
      if (later) setImmediate(finish)
      else finish()
    }
    const sent = `${method} / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`
    const [theirs, ours] = await Promise.all([say(node, sent), say(bare, sent)])
    const wanted = JSON.stringify(reading(theirs, method))
    const found = JSON.stringify(reading(ours, method))
    if (wanted !== found) throw new Error(`node wrote ${wanted}, and we ${found}`)
  }), { numRuns: 400 })
})

t.test('an answer that was rendered is what it would be if it were made anew, and is written only where it would be', async (t) => {
  const line = `HTTP/1.1 200 OK\r\nContent-Length: 4\r\nAge: 1\r\nDate: ${date}\r\n`
  const known = knownHead(200, 'OK', ['Content-Length', '4'])
  const body = Buffer.from('a\xff\0b', 'latin1')
  const served = async (place: Partial<AnswerPlace>, program: (answer: PlainAnswer) => void, method = 'GET'): Promise<string> => {
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => socket.destroy())
      socket.once('data', () => program(new PlainAnswer({ ...placeOn(socket), isLast: false, ...place }, method === 'HEAD')))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => server.close())
    const address = server.address()
    return say(address === null || typeof address === 'string' ? 0 : address.port, '?')
  }
  let rendered: RenderedAnswer | undefined
  const anew = await served({}, (answer) => {
    rendered = answer.render(known, ['Age', '1'], body)
    t.not(answer.headersSent, true)
    answer.writeKnownHead(known, ['Age', '1'])
    answer.end(body)
    t.equal(rendered !== undefined && answer.endRendered(rendered), false, 'what is over is over')
  })
  t.equal(anew, `${line}Connection: keep-alive\r\nKeep-Alive: timeout=60\r\n\r\na\xff\0b`)
  if (rendered === undefined) throw new Error('nothing was rendered')
  const kept = rendered
  t.equal(await served({}, (answer) => {
    t.equal(answer.endRendered(kept), true)
    t.strictSame([answer.headersSent, answer.writableFinished, answer.closed], [true, true, true])
  }), anew)
  const others: readonly (readonly [string, Partial<AnswerPlace>, string])[] = [
    ['another second', { date: () => 'Sat, 21 Nov 2026 00:00:01 GMT' }, 'GET'], ['the last answer', { isLast: true }, 'GET'],
    ['another front', { keptLines: 'Connection: keep-alive\r\n' }, 'GET'], ['HEAD', {}, 'HEAD'],
  ]
  for (const [what, place, method] of others) {
    t.equal(await served(place, (answer) => {
      t.equal(answer.endRendered(kept), false, what)
      t.equal(answer.headersSent, false)
      answer.destroy()
    }, method), '', what)
  }
  for (const head of [knownHead(200, 'OK', []), knownHead(304, 'Not Modified', ['Content-Length', '4']), knownHead(200, 'OK', ['Content-Length', '4', 'Connection', 'close'])]) {
    await served({}, (answer) => {
      t.equal(answer.render(head, [], body), undefined)
      t.throws(() => answer.render(known, ['X', 'y\r\nz'], body))
      answer.destroy()
    })
  }
})

t.test('a field, a reason or a trailer that could end its line is not written, and neither is anything else', async (t) => {
  const refused: (readonly [string, string, readonly string[]])[] = [
    ['a name with a colon', 'OK', ['X:', 'y']], ['no name', 'OK', ['', 'y']], ['a name with a space', 'OK', ['X ', 'y']], ['a line end in a name', 'OK', ['X\r\nY', 'y']],
    ['a line end in a value', 'OK', ['X', 'y\r\nSet-Cookie: z']], ['a line feed in a value', 'OK', ['X', 'y\nz']], ['a carriage return in a value', 'OK', ['X', 'y\rz']],
    ['NUL in a value', 'OK', ['X', 'y\0']], ['DEL in a value', 'OK', ['X', '\x7f']], ['what is no byte in a value', 'OK', ['X', '\u010a']], ['a line end in the reason', 'OK\r\nX: y', []],
  ]
  const program: { run: Program } = { run: () => undefined }
  const { node, bare } = await servers(t, program)
  for (const [what, reason, fields, isKnown] of refused.flatMap((each) => [[...each, false], [...each, true]] as const)) {
    const thrown: unknown[] = []
    program.run = (answer) => {
      try {
        if (isKnown && answer.writeKnownHead !== undefined) answer.writeKnownHead(knownHead(200, reason, []), fields)
        else answer.writeHead(200, reason, [...fields])
      } catch (error) {
        thrown.push(error)
        answer.destroy()
      }
    }
    for (const port of [node, bare]) t.equal(await say(port, 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n'), '', what)
    t.equal(thrown.length, 2, what)
  }
  program.run = (answer) => {
    answer.writeHead(200, 'OK', [])
    t.throws(() => answer.addTrailers([['X', 'y\r\nz']]))
    t.throws(() => answer.addTrailers([['X Y', 'z']]))
    answer.end()
  }
  for (const port of [node, bare]) t.match(await say(port, 'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n'), /\r\n\r\n0\r\n\r\n$/)
})

t.test('what is over is over: no byte behind it, and breaking it off harms nobody', async (t) => {
  const program: { run: Program } = { run: () => undefined }
  const { bare } = await servers(t, program)
  let closes = 0
  program.run = (answer) => {
    answer.on('close', () => (closes += 1))
    answer.writeHead(200, 'OK', ['Content-Length', '2'])
    t.throws(() => answer.writeHead(200, 'OK', []), 'one head')
    t.equal(answer.headersSent, true)
    answer.end('ok', 'latin1')
    t.strictSame([answer.closed, answer.destroyed, answer.writableFinished, answer.socket], [true, true, true, null])
    answer.end('more', 'latin1')
    t.equal(answer.write('more'), false)
    answer.flushHeaders()
    answer.destroy()
  }
  t.match(await say(bare, 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n'), /\r\n\r\nok$/)
  t.equal(closes, 1)
})

t.test('an answer whose client goes is closed, and not finished', async (t) => {
  const program: { run: Program } = { run: () => undefined }
  const { bare } = await servers(t, program)
  const closed = new Promise<readonly boolean[]>((resolve) => {
    program.run = (answer) => {
      const { socket } = answer
      answer.writeHead(200, 'OK', [])
      answer.write(Buffer.alloc(1024))
      socket?.on('close', () => {
        if (answer instanceof PlainAnswer) answer.cut()
        resolve([answer.closed, answer.destroyed, answer.writableFinished])
      })
      setImmediate(() => socket?.destroy())
    }
  })
  await say(bare, 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n')
  t.strictSame(await closed, [true, true, false])
})

/** The server's end of a connection inside TLS, and what its client reads to the end of it. */
async function insideTls(t: Test): Promise<{ readonly socket: TLSSocket; readonly client: TLSSocket; readonly received: Promise<string> }> {
  const { cert, key } = await (await testCertificates()).issue(['a.test'])
  const server = tls.createServer({ cert, key })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const accepted = new Promise<TLSSocket>((resolve) => server.once('secureConnection', resolve))
  const address: AddressInfo | string | null = server.address()
  const client = tls.connect({ port: address === null || typeof address === 'string' ? 0 : address.port, host: '127.0.0.1', rejectUnauthorized: false })
  client.on('error', () => client.destroy())
  const socket = await accepted
  socket.on('error', () => socket.destroy())
  const received = new Promise<string>((resolve) => {
    let all = ''
    client.setEncoding('latin1')
    client.on('data', (chunk: string) => (all += chunk))
    client.on('close', () => resolve(all))
  })
  return { socket, client, received }
}

t.test('inside TLS an answer is one write, and over when the kernel has it', async (t) => {
  const { socket, received } = await insideTls(t)
  let writes = 0
  const write = socket.write.bind(socket)
  Reflect.set(socket, 'write', (...args: Parameters<typeof write>) => {
    writes += 1
    return write(...args)
  })
  const finish = (run: (answer: PlainAnswer) => void): Promise<void> => new Promise((resolve) => {
    const answer = new PlainAnswer({ ...placeOn(socket), isLast: false, finished: () => resolve() }, false)
    run(answer)
    t.equal(answer.closed, false, 'not before')
  })
  await finish((answer) => {
    answer.writeHead(200, 'OK', ['Content-Length', '4'])
    answer.end('\xff\0ok', 'latin1')
  })
  await finish((answer) => {
    answer.writeHead(404, 'Not Found', [])
    answer.end()
  })
  t.equal(writes, 2)
  socket.end()
  t.match(await received, /\r\n\r\n\xff\0okHTTP\/1.1 404 Not Found\r\n[^]*\r\n\r\n0\r\n\r\n$/)
})

t.test('inside TLS an answer whose connection breaks is not finished', async (t) => {
  const { socket, client } = await insideTls(t)
  let isFinished = false
  const answer = new PlainAnswer({ ...placeOn(socket), isLast: false, finished: () => (isFinished = true) }, false)
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()))
  answer.writeHead(200, 'OK', ['Content-Length', '2'])
  answer.end('ok', 'latin1')
  socket.destroy()
  await closed
  answer.cut()
  client.destroy()
  t.strictSame([isFinished, answer.closed, answer.writableFinished], [false, true, false])
})
