import { once } from 'node:events'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import t from 'tap'
import { StalledBodies } from '../../src/ingress/stalled-bodies.ts'

t.test('a body that is all here is never cut, and one that stops is', async (t) => {
  const bodies = new StalledBodies(200)
  // the sweep alone keeps no process alive
  const alive = setInterval(() => undefined, 1000)
  t.teardown(() => {
    clearInterval(alive)
    bodies.stop()
  })
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
