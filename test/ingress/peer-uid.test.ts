import t from 'tap'
import { PeerUids, uidIn } from '../../src/ingress/peer-uid.ts'

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0C38 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:C001 0100007F:0C38 01 00000000:00000000 00:00000000 00000000  1001        0 2
   2: 0100007F:0C38 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 3
`

t.test('the uid is that of the far end, not of our own socket', async (t) => {
  t.equal(uidIn(table, 0xc001, 0x0c38), 1001)
  t.equal(uidIn(table, 0xc002, 0x0c38), undefined)
})

t.test('a scan that costs much is not repeated for a hundred times as long', async (t) => {
  let nowMs = 0
  let finish: (text: string) => void = () => {}
  const uids = new PeerUids({ now: () => nowMs, monotonic: () => nowMs }, () => new Promise((resolve) => (finish = resolve)))
  const first = uids.lookUp({ remotePort: 0xc001, localPort: 0x0c38 })
  t.equal(uids.lookUp({ remotePort: 1, localPort: 2 }), undefined, 'one scan at a time')
  nowMs = 10
  finish(table)
  t.equal(await first, 1001)
  nowMs = 1009
  t.equal(uids.lookUp({ remotePort: 1, localPort: 2 }), undefined)
  nowMs = 1010
  t.not(uids.lookUp({ remotePort: 0xc001, localPort: 0x0c38 }), undefined)
  finish(table)
})

t.test('where there is no table nothing is known', async (t) => {
  const uids = new PeerUids({ now: () => 0, monotonic: () => 0 }, () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOENT' })))
  t.equal(await uids.lookUp({ remotePort: 1, localPort: 2 }), undefined)
})
