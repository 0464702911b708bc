import { once } from 'node:events'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { StalledBodies } from '../../src/ingress/stalled-bodies.ts'
import { Turnstile } from '../../src/turnstile.ts'

function stalledBodies(t: Test, limitMs: number, endings?: Turnstile): StalledBodies {
  const bodies = new StalledBodies(limitMs, endings)
  // the sweep alone keeps no process alive
  const alive = setInterval(() => undefined, 1000)
  t.teardown(() => {
    clearInterval(alive)
    bodies.stop()
  })
  return bodies
}

t.test('a body that is all here is never cut, and one that stops is', async (t) => {
  const bodies = stalledBodies(t, 200)
  const here = new IncomingMessage(new Socket())
  const stopped = new IncomingMessage(new Socket())
  for (const request of [here, stopped]) {
    request.resume()
    bodies.watch(request)
  }
  here.complete = true
  await once(stopped.socket, 'close')
  t.notOk(here.socket.destroyed)
})

t.test('a body whose request is held is not cut, and is again when it is held no longer', async (t) => {
  const bodies = stalledBodies(t, 100)
  const [held, stopped] = [new IncomingMessage(new Socket()), new IncomingMessage(new Socket())]
  for (const request of [held, stopped]) {
    request.resume()
    bodies.watch(request)
  }
  const wake = bodies.rest(held)
  await once(stopped.socket, 'close')
  t.notOk(held.socket.destroyed)
  wake()
  await once(held.socket, 'close')
  t.equal(bodies.rest(new IncomingMessage(new Socket()))(), undefined, 'one without a body has nothing to rest')
})

t.test('a body that is read chunk by chunk is cut when it stops, though nothing flows', async (t) => {
  const bodies = stalledBodies(t, 100)
  const [unread, spooled, done] = [new IncomingMessage(new Socket()), new IncomingMessage(new Socket()), new IncomingMessage(new Socket())]
  for (const request of [unread, spooled, done]) {
    request.on('readable', () => request.read())
    bodies.watch(request)
  }
  bodies.expect(done)()
  bodies.expect(spooled)
  await once(spooled.socket, 'close')
  t.notOk(unread.socket.destroyed)
  t.notOk(done.socket.destroyed, 'and not when its reader has all it wanted')
  t.equal(bodies.expect(new IncomingMessage(new Socket()))(), undefined, 'one without a body has nothing to wait for')
})

t.test('a body that is whole by the time its cut has its turn is let be', async (t) => {
  const waiting: (() => void)[] = []
  const endings = new (class extends Turnstile {
    override pass(go: () => void): void {
      waiting.push(go)
    }
  })()
  const bodies = stalledBodies(t, 40, endings)
  const [whole, stopped] = [new IncomingMessage(new Socket()), new IncomingMessage(new Socket())]
  for (const request of [whole, stopped]) {
    request.resume()
    bodies.watch(request)
  }
  while (waiting.length < 2) await new Promise((resolve) => setTimeout(resolve, 10))
  whole.complete = true
  whole.emit('end')
  for (const go of waiting) go()
  await once(stopped.socket, 'close')
  t.notOk(whole.socket.destroyed)
})
