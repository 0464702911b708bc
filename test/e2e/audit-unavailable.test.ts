// A journal that cannot be written: nothing is allowed, nothing leaves, and service resumes by itself.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { verifyJournal } from '../../src/audit/verify.ts'
import { plainHosts, plainPolicy, request } from '../support/plain-world.ts'
import { openTunnel } from '../support/raw-client.ts'
import { startProxy } from '../support/proxy.ts'
import { strictOrigin } from '../support/strict-origin.ts'
import { say, WireClient } from '../support/wire-client.ts'
import { once } from 'node:events'

interface Disk {
  /** bytes of journal that still fit */
  room: number
}

/** Stands between the journal and write(2), for as long as the test runs. */
function smallDisk(t: Test): Disk {
  const disk: Disk = { room: Number.POSITIVE_INFINITY }
  const real = fs.writeSync
  const limited = (fd: number, data: Uint8Array, offset: number, length: number): number => {
    if (disk.room <= 0) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    const count = real(fd, data, offset, Math.min(length, disk.room))
    disk.room -= count
    return count
  }
  Object.assign(fs, { writeSync: limited })
  syncBuiltinESMExports()
  t.teardown(() => {
    Object.assign(fs, { writeSync: real })
    syncBuiltinESMExports()
  })
  return disk
}

t.test('without room for the decision there is 503 and no byte upstream, and room brings service back', async (t) => {
  const disk = smallDisk(t)
  const origin = await strictOrigin(t)
  const proxy = await startProxy(t, {
    policy: `${plainPolicy(origin.port)}[[network.rules]]\nid = "raw"\nhosts = ["raw.test:${origin.port}"]\nlocal = ["127.0.0.1/32"]\nraw = "any"\nverdict = "allow"\n`,
    hosts: { ...plainHosts, 'raw.test': '127.0.0.1' }, flags: { ops: '127.0.0.1:0' },
  })
  const { socket } = await openTunnel(proxy.port, `raw.test:${origin.port}`)
  const get = (path: string): Promise<string> => say(proxy.port, request(origin.port, path, 'Connection: close\r\n'))
  t.match(await get('/before'), /^HTTP\/1\.1 200 /)
  const idle = await WireClient.open(proxy.port)
  idle.send(request(origin.port, '/kept'))
  await idle.answers(1)
  await proxy.recorded((record) => record.name === 'sallyport.exchange.ended' && record.seq > 6)
  const [before, connections] = [origin.requests.length, origin.connections()]

  disk.room = 700
  const codes: string[] = []
  for (let at = 0; at < 3; at++) {
    for (const bytes of [
      request(origin.port, '/not', 'Connection: close\r\n'),
      `CONNECT allowed.test:${origin.port} HTTP/1.1\r\nHost: allowed.test:${origin.port}\r\n\r\n`,
      'GET http://denied.test/ HTTP/1.1\r\nHost: denied.test\r\nConnection: close\r\n\r\n',
      'CONNECT plain.test:80 HTTP/1.1\r\nHost: plain.test:80\r\n\r\n',
      'BAD\r\n\r\n',
      request(origin.port, '/ws', 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'),
    ]) {
      const received = await say(proxy.port, bytes)
      codes.push(`${received.slice(9, 12)} ${/"code":"([a-z_]+)"/.exec(received)?.[1] ?? ''}`)
      t.match(received, /\r\nretry-after: /i)
    }
  }
  t.same(new Set(codes), new Set(['503 audit_unavailable']), 'whatever is asked, also what would be denied')
  idle.send(request(origin.port, '/not'))
  t.equal((await idle.answers(2))[1]?.status, 503, 'also on a connection from before')
  idle.socket.destroy()
  t.strictSame([origin.requests.length, origin.connections()], [before, connections], 'nothing went upstream')
  t.equal((await fetch(`${proxy.ops}/readyz`)).status, 503)
  t.equal((await fetch(`${proxy.ops}/livez`)).status, 200)
  t.ok(proxy.log.some((line) => line.includes('ENOSPC')), 'the operator hears of it')
  t.notOk(socket.destroyed, 'a tunnel from before goes on')

  disk.room = Number.POSITIVE_INFINITY
  while ((await fetch(`${proxy.ops}/readyz`)).status !== 200) await new Promise((resolve) => setTimeout(resolve, 20))
  t.match(await get('/after'), /^HTTP\/1\.1 200 /)
  socket.destroy()
  await once(socket, 'close')
  t.equal((await verifyJournal(join(proxy.dir, 'var', 'journal'))).fault, undefined)
  const gaps = proxy.records().filter(({ name }) => name === 'sallyport.audit.gap')
  t.equal(gaps.length, 1)
  t.ok(Number(gaps[0]?.attributes['sallyport.gap.count']) >= codes.length, 'which counts what was refused')
  const allowed = proxy.decisions().filter(({ attributes }) => attributes['network.policy.decision'] === 'allow').map(({ attributes }) => String(attributes['url.path']))
  t.strictSame(origin.requests.filter(({ target }) => !allowed.includes(target)), [], 'every request upstream has its decision')
})
