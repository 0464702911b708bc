// One exchange that is read without undici: what its handler may still ask of a connection that is not its own any more.
import t from 'tap'
import { BareExchange } from '../../src/egress/bare-exchange.ts'
import type { AnswerHandler } from '../../src/egress/origin-connection.ts'

function ignored(): void {
  // nothing of it is looked at here
}

t.test('an exchange that was held back lets its connection go on once, and never after it is over', async (t) => {
  const handler: AnswerHandler = {
    onRequestStart: ignored, onResponseStarted: ignored, onResponseIsHead: ignored, onResponseStart: ignored,
    onResponseData: (controller) => controller.pause(), onWholeText: ignored, onResponseEnd: ignored, onResponseError: ignored,
  }
  let resumed = 0
  const exchange = new BareExchange('GET / HTTP/1.1\r\n\r\n', handler, { maxResponseHeaderBytes: 1024 }, () => (resumed += 1))
  t.equal(exchange.read(Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')), 'more')
  t.equal(exchange.isPaused, true)
  exchange.resume()
  t.equal(resumed, 1)
  t.equal(exchange.read(Buffer.from('0\r\n\r\n')), 'done')
  // its client reads on, and tells the handler so
  exchange.resume()
  t.equal(resumed, 1)
})
