// The sockets of sessions as files: whose they are, what is removed and what is refused.
import { once } from 'node:events'
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Session } from '../../src/approvals/session.ts'
import type { SocketSession } from '../../src/ingress/client-connections.ts'
import { SessionSockets } from '../../src/ingress/session-sockets.ts'

function sessionOf(id: string, more: Partial<Session> = {}): Session {
  return {
    id, principal: { session: id, agent: 'codex', team: undefined, owner: undefined }, hold: 'auto', unattended: false, hasSocket: true, isIsolated: false,
    createdMs: 0, createdBy: 'root', expiresMs: undefined, endedMs: undefined, lastSeenMs: undefined, ...more,
  }
}

function world(t: Test, known: readonly Session[] = [], place?: string) {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-sockets-'))
  const folder = place ?? join(dir, 'run')
  const ending: ((session: Session) => void)[] = []
  const accepted: { readonly socket: Socket; readonly session: SocketSession }[] = []
  const faults: unknown[] = []
  const accept = (socket: Socket, session: SocketSession): void => {
    accepted.push({ socket, session })
    socket.end('hello')
  }
  const sessions = {
    list: () => known,
    live: (id: string) => known.find((session) => session.id === id && session.endedMs === undefined),
    onEnded: (listener: (session: Session) => void) => void ending.push(listener),
  }
  const sockets = new SessionSockets({ folder, front: { accept }, sessions, onFault: (error) => void faults.push(error) })
  t.teardown(() => {
    sockets.close()
    for (const { socket } of accepted) socket.destroy()
    rmSync(dir, { recursive: true, force: true })
  })
  return { dir, folder, sockets, accepted, faults, ended: (session: Session) => ending.forEach((listener) => listener(session)) }
}

t.test('who connects is handed on as the session of that socket', async (t) => {
  const [first, second] = [sessionOf('s1'), sessionOf('s2', { isIsolated: true })]
  const { sockets, accepted } = world(t, [first, second])
  const [one, two] = [await sockets.open(first), await sockets.open(second)]
  t.equal(one, sockets.pathOf('s1'))
  for (const path of [one, two]) t.equal(String((await once(connect({ path }), 'data'))[0]), 'hello')
  t.strictSame(accepted.map(({ session }) => session), [{ id: 's1', isIsolated: false }, { id: 's2', isIsolated: true }])
})

t.test('folders that were made too open are closed before a socket is in them', async (t) => {
  const { folder, sockets } = world(t, [sessionOf('s1')])
  mkdirSync(join(folder, 's1'), { recursive: true })
  for (const path of [folder, join(folder, 's1')]) chmodSync(path, 0o777)
  const path = await sockets.open(sessionOf('s1'))
  t.strictSame([folder, join(folder, 's1'), path].map((each) => lstatSync(each).mode & 0o777), [0o700, 0o700, 0o600])
})

t.test('a folder that is a link, a file or somebody else\'s is not used', async (t) => {
  const { dir, folder, sockets } = world(t)
  mkdirSync(join(dir, 'elsewhere'))
  symlinkSync(join(dir, 'elsewhere'), folder)
  await t.rejects(sockets.open(sessionOf('s1')), /is no folder/)
  t.strictSame(readdirSync(join(dir, 'elsewhere')), [])
  rmSync(folder)
  mkdirSync(folder)
  writeFileSync(join(folder, 's1'), '')
  await t.rejects(sockets.open(sessionOf('s1')))
})

t.test('at the start what is left is removed, and only live sessions that had a socket have one', async (t) => {
  const { folder, sockets, faults } = world(t, [sessionOf('slive'), sessionOf('sended', { endedMs: 1 }), sessionOf('snone', { hasSocket: false })])
  for (const id of ['sold', 'slive', 'sended']) {
    mkdirSync(join(folder, id), { recursive: true })
    writeFileSync(join(folder, id, 'proxy.sock'), '')
  }
  await sockets.reopen()
  t.strictSame(readdirSync(folder), ['slive'])
  t.ok(lstatSync(sockets.pathOf('slive')).isSocket())
  t.strictSame(faults, [])
})

t.test('a socket that cannot be opened again is told of, and keeps no other closed', async (t) => {
  const { folder, sockets, faults } = world(t, [sessionOf('s1'), sessionOf('s2')])
  mkdirSync(folder)
  writeFileSync(join(folder, 's1'), 'no folder')
  await sockets.reopen()
  t.equal(faults.length, 1)
  t.ok(lstatSync(sockets.pathOf('s2')).isSocket())
})

t.test('where no session has a socket, nothing is made', async (t) => {
  const { folder, sockets } = world(t, [sessionOf('s1', { hasSocket: false })])
  await sockets.reopen()
  t.notOk(existsSync(folder))
})

t.test('a session that ended while its socket was opened has none', async (t) => {
  const { folder, sockets } = world(t)
  await sockets.open(sessionOf('s1'))
  t.strictSame(readdirSync(folder), [])
})

t.test('the end of a session is the end of its socket, and of nothing else', async (t) => {
  const [one, two] = [sessionOf('s1'), sessionOf('s2')]
  const { folder, sockets, ended } = world(t, [one, two])
  await sockets.open(one)
  await sockets.open(two)
  ended(sessionOf('s3', { hasSocket: false }))
  ended(one)
  t.strictSame(readdirSync(folder), ['s2'])
  t.ok(existsSync(sockets.pathOf('s2')))
})

t.test('closing leaves the folders and no socket', async (t) => {
  const { folder, sockets } = world(t, [sessionOf('s1')])
  const path = await sockets.open(sessionOf('s1'))
  sockets.close()
  t.strictSame(readdirSync(folder), ['s1'])
  t.notOk(existsSync(path))
})

t.test('paths that are too long for the system are known before', async (t) => {
  t.equal(world(t).sockets.isPossible, true)
  t.equal(world(t, [], `/${'long/'.repeat(30)}run`).sockets.isPossible, false)
})
