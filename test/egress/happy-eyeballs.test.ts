import { readdirSync, readFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { Abandonment } from '../../src/egress/abandonment.ts'
import { systemClock } from '../../src/clock.ts'
import { Deadlines } from '../../src/deadlines.ts'
import { interleave, raceToConnect } from '../../src/egress/happy-eyeballs.ts'
import type { RaceOptions } from '../../src/egress/happy-eyeballs.ts'
import { parseIp } from '../../src/target/address.ts'
import type { IpAddress } from '../../src/target/address.ts'
import * as fc from '../support/property.ts'

function ips(...texts: readonly string[]): readonly IpAddress[] {
  return texts.map((text) => {
    const ip = parseIp(text)
    if (ip === undefined) throw new Error(`not an address: ${text}`)
    return ip
  })
}

type Fate = 'connects' | 'hangs' | `E${string}`

/** Sockets that never touch the network: each address meets its fate, in the next turn of the loop. */
function scripted(fates: Readonly<Record<string, Fate>>) {
  const opened: string[] = []
  const sockets: Socket[] = []
  const waiting = new Set<() => void>()
  const open = (ip: IpAddress): Socket => {
    const socket = new Socket()
    const fate = fates[ip.text] ?? 'hangs'
    opened.push(ip.text)
    sockets.push(socket)
    if (fate === 'connects') setImmediate(() => socket.emit('connect'))
    else if (fate !== 'hangs') setImmediate(() => socket.destroy(Object.assign(new Error(fate), { code: fate })))
    for (const check of waiting) check()
    return socket
  }
  const openedCount = (count: number) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const check = () => {
      if (opened.length >= count) resolve()
    }
    waiting.add(check)
    check()
    return promise
  }
  return { open, opened, sockets, openedCount }
}

function race(fates: ReturnType<typeof scripted>, addresses: readonly IpAddress[], over: Partial<RaceOptions> = {}) {
  return raceToConnect(addresses, { open: fates.open, port: 443, connectTimeoutMs: 60_000, attemptDelayMs: 60_000, clock: systemClock, deadlines: new Deadlines(systemClock), ...over })
}

function textsInTurn(addresses: readonly IpAddress[]): readonly string[] {
  return interleave(addresses).map((ip) => ip.text)
}

t.test('families take turns, the family of the first address first', async (t) => {
  t.same(textsInTurn(ips('192.0.2.1', '192.0.2.2', '192.0.2.3', '2001:db8::1')), ['192.0.2.1', '2001:db8::1', '192.0.2.2', '192.0.2.3'])
  t.same(textsInTurn(ips('2001:db8::1', '2001:db8::2', '192.0.2.1')), ['2001:db8::1', '192.0.2.1', '2001:db8::2'])
  t.same(textsInTurn([]), [])
  fc.assert(fc.property(fc.array(fc.oneof(fc.ipV4(), fc.ipV6())), (all) => {
    const addresses = all.flatMap((text) => parseIp(text) ?? [])
    return interleave(addresses).length === addresses.length && addresses.every((ip) => interleave(addresses).includes(ip))
  }))
})

t.test('a failed attempt is followed by the next one at once', async (t) => {
  const fates = scripted({ '192.0.2.1': 'ECONNREFUSED', '192.0.2.2': 'ENETUNREACH', '192.0.2.3': 'connects' })
  const socket = await race(fates, ips('192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'))
  t.equal(socket, fates.sockets[2])
  t.same(fates.opened, ['192.0.2.1', '192.0.2.2', '192.0.2.3'])
})

t.test('a silent address gets company after the delay, and loses', async (t) => {
  const fates = scripted({ '2001:db8::1': 'hangs', '192.0.2.1': 'connects' })
  const socket = await race(fates, ips('2001:db8::1', '192.0.2.1'), { attemptDelayMs: 5 })
  t.equal(socket, fates.sockets[1])
  t.equal(fates.sockets[0]?.destroyed, true)
  t.equal(socket.destroyed, false)
})

t.test('two that connect in the same turn: one wins, the other is destroyed', async (t) => {
  const fates = scripted({})
  const pending = race(fates, ips('192.0.2.1', '192.0.2.2'), { attemptDelayMs: 1 })
  await fates.openedCount(2)
  fates.sockets[1]?.emit('connect')
  fates.sockets[0]?.emit('connect')
  t.equal(await pending, fates.sockets[1])
  t.equal(fates.sockets[0]?.destroyed, true)
})

t.test('the time-out covers all attempts, names each address, and leaves no socket', async (t) => {
  const fates = scripted({ '192.0.2.1': 'ECONNREFUSED' })
  const pending = race(fates, ips('192.0.2.1', '192.0.2.2', '2001:db8::3', '192.0.2.4'), { connectTimeoutMs: 30 })
  await t.rejects(pending, { code: 'connection_timeout', detail: /^192\.0\.2\.1:443 ECONNREFUSED, \[2001:db8::3\]:443 ETIMEDOUT, 2 more not tried, after \d+ ms$/ })
  t.ok(fates.sockets.every((socket) => socket.destroyed))
})

t.test('the code is the most telling cause, the detail names every address', async (t) => {
  const codes: readonly (readonly [readonly Fate[], string])[] = [
    [['ECONNREFUSED'], 'connection_refused'],
    [['ETIMEDOUT'], 'connection_timeout'],
    [['EHOSTUNREACH'], 'destination_unroutable'],
    [['ENETUNREACH'], 'destination_unroutable'],
    [['EADDRNOTAVAIL'], 'destination_unroutable'],
    [['EACCES'], 'destination_unroutable'],
    [['ECONNRESET'], 'connection_reset'],
    [['ESOMETHING'], 'connection_reset'],
    [['EMFILE'], 'internal_error'],
    [['ENETUNREACH', 'ETIMEDOUT'], 'connection_timeout'],
    [['ENETUNREACH', 'ETIMEDOUT', 'ECONNREFUSED'], 'connection_refused'],
  ]
  for (const [causes, code] of codes) {
    const addresses = ips(...causes.map((_, i) => `192.0.2.${i}`))
    const fates = scripted(Object.fromEntries(causes.map((cause, i) => [`192.0.2.${i}`, cause])))
    const error: unknown = await race(fates, addresses).catch((e: unknown) => e)
    t.match(error, { name: 'ProxyError', code }, causes.join(' '))
    for (const [i, cause] of causes.entries()) t.match(error, { detail: `192.0.2.${i}:443 ${cause}` })
  }
})

t.test('no address at all cannot be connected to', async (t) => {
  await t.rejects(race(scripted({}), []), { code: 'destination_unroutable' })
})

t.test('a name with hundreds of addresses is tried at 16 of them', async (t) => {
  const addresses = ips(...Array.from({ length: 200 }, (_, i) => `192.0.2.${i}`))
  const fates = scripted(Object.fromEntries(addresses.map((ip) => [ip.text, 'ECONNREFUSED'])))
  await t.rejects(race(fates, addresses), { code: 'connection_refused' })
  t.equal(fates.opened.length, 16)
})

t.test('when the client goes, every attempt stops and no further one begins', async (t) => {
  const gone = new Abandonment()
  const fates = scripted({})
  const pending = race(fates, ips('192.0.2.1', '192.0.2.2', '192.0.2.3'), { abandonment: gone, attemptDelayMs: 1 })
  await fates.openedCount(2)
  gone.abandon()
  await t.rejects(pending, { code: 'connection_reset' })
  const count = fates.opened.length
  fates.sockets[0]?.emit('error', new Error('late'))
  t.equal(fates.opened.length, count)
  t.ok(fates.sockets.every((socket) => socket.destroyed))
  await t.rejects(race(scripted({}), ips('192.0.2.1'), { abandonment: gone }), { code: 'connection_reset' })
})

t.test('an attempt that cannot even begin ends the race and its sockets', async (t) => {
  const fates = scripted({})
  const open = (ip: IpAddress): Socket => {
    if (ip.text === '192.0.2.2') throw new Error('no more')
    return fates.open(ip)
  }
  await t.rejects(race(fates, ips('192.0.2.1', '192.0.2.2'), { open, attemptDelayMs: 1 }), { code: 'internal_error' })
  t.ok(fates.sockets.every((socket) => socket.destroyed))
})

t.test('nothing but the dialler and the parent proxy connects to addresses that nobody vetted', async (t) => {
  const egress = join(import.meta.dirname, '../../src/egress')
  const users = readdirSync(egress).filter((file) => readFileSync(join(egress, file), 'utf8').includes("'./happy-eyeballs.ts'"))
  t.same(users.toSorted(), ['dial.ts', 'parent-proxy.ts'])
})
