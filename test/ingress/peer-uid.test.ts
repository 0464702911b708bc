import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import t from 'tap'
import { PeerUids, uidIn } from '../../src/ingress/peer-uid.ts'
import type { SocketEnds } from '../../src/ingress/peer-uid.ts'
import { connectTo, listen } from '../egress/wire.ts'

const heading = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const table = `${heading}   0: 0100007F:0C38 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:C001 0100007F:0C38 01 00000000:00000000 00:00000000 00000000  1001        0 2
   2: 0100007F:0C38 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 3
`

const ends: SocketEnds = { remoteAddress: '127.0.0.1', remotePort: 0xc001, localAddress: '127.0.0.1', localPort: 0x0c38 }

async function uidOf(socket: SocketEnds, { tcp = heading, tcp6 = heading }: { tcp?: string; tcp6?: string }): Promise<number | undefined> {
  return new PeerUids({ now: () => 0, monotonic: () => 0 }, async (path) => (path.endsWith('6') ? tcp6 : tcp)).lookUp(socket)
}

t.test('the uid is that of the far end, not of our own socket', async (t) => {
  t.equal(uidIn(table, '0100007F:C001', '0100007F:0C38'), 1001)
  t.equal(uidIn(table, '0100007F:C002', '0100007F:0C38'), undefined)
})

t.test('a socket that waits out its end, or belongs to no process, tells nothing of who has its ports now', async (t) => {
  const left = `${heading}   0: 0100007F:C001 0100007F:0C38 06 00000000:00000000 03:00000F00 00000000     0        0 0 3 0000000000000000\n`
  const orphan = '   1: 0100007F:C001 0100007F:0C38 04 00000000:00000000 00:00000000 00000000     0        0 0 1 0000000000000000\n'
  t.equal(uidIn(left, '0100007F:C001', '0100007F:0C38'), undefined)
  t.equal(uidIn(left + orphan, '0100007F:C001', '0100007F:0C38'), undefined)
  const alive = '   2: 0100007F:C001 0100007F:0C38 01 00000000:00000000 00:00000000 00000000  1001        0 77 1 0000000000000000\n'
  t.equal(uidIn(left + orphan + alive, '0100007F:C001', '0100007F:0C38'), 1001)
})

t.test('a socket with the same ports at other addresses is another socket', async (t) => {
  const decoys = `${heading}   0: 0200007F:C001 0100007F:0C38 01 00000000:00000000 00:00000000 00000000     0        0 5
   1: 0100007F:C001 0900007F:0C38 01 00000000:00000000 00:00000000 00000000     0        0 6
`
  t.equal(await uidOf({ ...ends }, { tcp: decoys }), undefined)
  t.equal(await uidOf({ ...ends }, { tcp: decoys + table.slice(heading.length) }), 1001)
  t.equal(await uidOf({ ...ends, remoteAddress: '127.0.0.2' }, { tcp: decoys }), 0)
})

t.test('IPv4 through an IPv6 socket is found in either table, IPv6 in its own', async (t) => {
  const mapped = '0000000000000000FFFF00000100007F'
  const six = '00000000000000000000000001000000'
  const row = (address: string) => `${heading}   0: ${address}:C001 ${address}:0C38 01 00000000:00000000 00:00000000 00000000  1002        0 9\n`
  for (const address of ['127.0.0.1', '::ffff:127.0.0.1']) {
    const both = { ...ends, remoteAddress: address, localAddress: address }
    t.equal(await uidOf(both, { tcp: table }), 1001, address)
    t.equal(await uidOf(both, { tcp6: row(mapped) }), 1002, address)
    t.equal(await uidOf(both, { tcp6: row(six) }), undefined, address)
  }
  t.equal(await uidOf({ ...ends, remoteAddress: '::1', localAddress: '::1' }, { tcp: table, tcp6: row(six) }), 1002)
  t.equal(await uidOf({ ...ends, remoteAddress: undefined }, { tcp: table }), undefined)
  t.equal(await uidOf({ ...ends, localAddress: 'nonsense' }, { tcp: table }), undefined)
})

t.test('the uid of a real connection is the one of this process', { skip: process.platform === 'linux' ? false : 'no /proc/net/tcp' }, async (t) => {
  const server = createServer()
  const { port, close } = await listen(server)
  const accepted = once(server, 'connection')
  const client = await connectTo(port)
  const [socket] = await accepted
  // whatever else this machine has open
  const read = async (path: string): Promise<string> => (path.endsWith('sockstat') ? '' : readFile(path, 'latin1'))
  t.equal(await new PeerUids({ now: () => 0, monotonic: () => 0 }, read).lookUp(socket), process.getuid?.())
  client.destroy()
  close()
})

t.test('a scan that costs much is not repeated for a hundred times as long', async (t) => {
  let nowMs = 0
  let finish: (text: string) => void = () => {}
  const uids = new PeerUids({ now: () => nowMs, monotonic: () => nowMs }, async (path) => (path.endsWith('sockstat') ? '' : new Promise((resolve) => (finish = resolve))))
  const first = uids.lookUp(ends)
  t.equal(uids.lookUp(ends), undefined, 'one scan at a time')
  await new Promise((resolve) => setImmediate(resolve))
  nowMs = 10
  finish(table)
  t.equal(await first, 1001)
  nowMs = 1009
  t.equal(uids.lookUp(ends), undefined)
  nowMs = 1010
  t.not(uids.lookUp(ends), undefined)
  await new Promise((resolve) => setImmediate(resolve))
  finish(table)
})

t.test('where there is no table nothing is known', async (t) => {
  const uids = new PeerUids({ now: () => 0, monotonic: () => 0 }, () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOENT' })))
  t.equal(await uids.lookUp(ends), undefined)
})

t.test('on a machine with thousands of sockets the table is not read, and the peer stays unproven', async (t) => {
  const read: string[] = []
  const uids = new PeerUids({ now: () => 0, monotonic: () => 0 }, async (path) => {
    read.push(path)
    return path.endsWith('sockstat') ? 'sockets: used 9\nTCP: inuse 100 orphan 0 tw 1901 alloc 9 mem 0\n' : table
  })
  t.equal(await uids.lookUp(ends), undefined)
  t.strictSame(read, ['/proc/net/sockstat'])
})
