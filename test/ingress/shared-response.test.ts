// An answer with a second reader: the client's is unchanged, the copy is the same bytes, and what is ours never gets out.
import t, { type Test } from 'tap'
import type { ClientResponse } from '../../src/egress/client-leg.ts'
import { SharedResponse, type Look } from '../../src/ingress/shared-response.ts'

function start(look: Look) {
  const calls: unknown[] = []
  const listeners: (() => void)[] = []
  const inner: ClientResponse = {
    destroyed: false, closed: false, headersSent: false, writableFinished: false, writableLength: 7, chunkedEncoding: true, socket: null,
    writeHead: (...all: unknown[]) => calls.push(['writeHead', ...all]), flushHeaders: () => calls.push('flush'), writeContinue: () => calls.push('continue'),
    write: (chunk) => calls.push(String(chunk)) > 0, end: (chunk?: unknown, encoding?: unknown) => calls.push(['end', String(chunk), encoding]), addTrailers: (all) => calls.push(all),
    destroy: () => calls.push('destroy'), on: (event, listener) => event === 'close' && listeners.push(listener), once: () => {}, off: () => {},
  }
  return { calls, response: new SharedResponse(inner, look), close: () => listeners.forEach((listener) => listener()) }
}

const closes = (t: Test, response: SharedResponse): Promise<void> => new Promise((resolve) => {
  response.on('close', () => {
    t.pass('closed')
    resolve()
  })
})

t.test('what passes reaches client and copy alike', async (t) => {
  const copied: string[] = []
  const copy = { write: (chunk: Uint8Array) => void copied.push(Buffer.from(chunk).toString('latin1')), end: () => void copied.push('end') }
  const { calls, response, close } = start((status, reason, fields) => ({ kind: 'pass', fields: [...fields, 'A', `${status} ${reason}`], copy }))
  const closed = closes(t, response)
  response.writeHead(200, 'OK', ['B', '1'])
  response.write(Buffer.from('one'))
  response.end('tw\xf6', 'latin1')
  t.same(calls, [['writeHead', 200, 'OK', ['B', '1', 'A', '200 OK']], 'one', ['end', 'tw\xf6', 'latin1']])
  t.same(copied, ['one', 'tw\xf6', 'end'])
  t.equal(response.writableLength, 7)
  close()
  await closed
})

t.test('what is ours is read to its end and never gets out', async (t) => {
  const { calls, response } = start(() => ({ kind: 'keep' }))
  const closed = closes(t, response)
  response.writeHead(304, 'Not Modified', [])
  t.ok(response.headersSent)
  response.flushHeaders()
  t.ok(response.write(Buffer.from('x')))
  t.notOk(response.closed)
  response.addTrailers([['A', '1']])
  response.end()
  await closed
  t.match(response, { closed: true, destroyed: true, writableFinished: true, writableLength: 0, chunkedEncoding: false })
  t.same(calls, [])
})

t.test('what is dropped looks to its writer as if the client had left', async (t) => {
  const { calls, response } = start(() => ({ kind: 'drop' }))
  const closed = closes(t, response)
  response.writeHead(503, 'x', [])
  response.write(Buffer.from('x'))
  await closed
  t.match(response, { closed: true, writableFinished: false })
  response.destroy()
  t.same(calls, [])
})

t.test('whoever listens no more hears nothing', async (t) => {
  const { response, close } = start((_status, _reason, fields) => ({ kind: 'pass', fields: [...fields] }))
  const listener = (): void => {
    t.fail('heard')
  }
  response.on('close', listener)
  response.off('close', listener)
  let once = 0
  response.once('close', () => {
    once += 1
  })
  close()
  close()
  t.equal(once, 1)
})
