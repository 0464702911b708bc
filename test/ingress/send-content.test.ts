import { EventEmitter } from 'node:events'
import t from 'tap'
import type { ClientResponse } from '../../src/egress/client-leg.ts'
import { sendContent } from '../../src/ingress/send-content.ts'

/** A client that takes nothing. */
class Unread extends EventEmitter implements ClientResponse {
  readonly chunkedEncoding = false
  readonly socket = null
  readonly headersSent = true
  readonly writableFinished = false
  readonly writableLength = 0
  destroyed = false

  get closed(): boolean {
    return this.destroyed
  }

  writeHead(): void {}
  flushHeaders(): void {}
  writeContinue(): void {}
  end(): void {}
  addTrailers(): void {}

  write(): boolean {
    return false
  }

  destroy(): void {
    this.destroyed = true
    this.emit('close')
  }
}

t.test('a client that takes nothing is cut, and what was read for it is let go', async (t) => {
  const response = new Unread()
  let isClosed = false
  const content = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield new Uint8Array(10)
    } finally {
      isClosed = true
    }
  }
  // keeps the loop alive meanwhile
  const alive = setInterval(() => undefined, 1000)
  t.equal(await sendContent(response, content(), 1), 10)
  clearInterval(alive)
  t.equal(response.destroyed, true)
  t.equal(isClosed, true)
  t.same(response.eventNames(), [])
})
