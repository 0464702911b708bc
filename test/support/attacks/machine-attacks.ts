// Attacks on what a proxy does to the machine it runs on: files it writes, listeners it opens, descriptors and
// memory it keeps, and its event loop.
import { relative } from 'node:path'
import { allowedPath, enter, enterAllowed, toldAs, type Attack, type AttackWorld, type Finding } from './attack.ts'
import { descriptorsOf, filesBelow, listeningPorts, readableKeys, residentMegabytes } from './attacked-proxy.ts'
import { ask, open, secure } from './inside-client.ts'
import { LoopProbe } from './loop-probe.ts'

const pauseMs = 50

/** Looks again until it is so, or patience ends. */
async function until(patienceMs: number, isSo: () => boolean): Promise<boolean> {
  const end = performance.now() + patienceMs
  while (!isSo()) {
    if (performance.now() > end) return false
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
  return true
}

const pathInAuthority: Attack = {
  name: 'an authority with a path in it writes no file anywhere',
  tried: '`CONNECT ../../pwn.allowed.test:PORT`',
  run: async (world) => {
    const { proxy, allowed } = world
    const files = (): readonly string[] => filesBelow(proxy.dir, proxy.own)
    const before = new Set(files())
    const { connect, inside } = await enter(world, `../../pwn.allowed.test:${allowed.port}`, 'allowed.test')
    inside?.socket.destroy()
    const added = (): readonly string[] => files().filter((path) => !before.has(path))
    if (inside !== undefined) await until(world.patienceMs, () => added().length > 0)
    const written = added().map((path) => relative(proxy.dir, path))
    return { held: connect.status === 400 && written.length === 0, seen: `${toldAs(connect)}; ${written.length === 0 ? 'no file' : `wrote ${written.join(', ')}`}` }
  },
}

const readableKey: Attack = {
  name: 'no private key can be read by anybody but its owner',
  tried: 'key files after a first intercepted host, umask 022',
  run: async (world) => {
    const { socket } = await enterAllowed(world)
    socket.destroy()
    // written without being waited for, by some
    await until(500, () => readableKeys(world.proxy).length > 0)
    const keys = readableKeys(world.proxy).map((path) => relative(world.proxy.dir, path))
    return { held: keys.length === 0, seen: keys.length === 0 ? 'none is readable' : `readable by all: ${keys.join(', ')}` }
  },
}

/** A visit that a host's rules refuse: nothing is dialled, and whatever the host needs is made. */
async function visit(world: AttackWorld, name: string): Promise<void> {
  const { socket } = await enterAllowed(world, name)
  const said = await ask(socket, `GET /private HTTP/1.1\r\nHost: ${name}:${world.allowed.port}\r\n\r\n`, world.patienceMs)
  socket.destroy()
  if (said.status !== 403) throw new Error(`a request that no rule allows was answered ${toldAs(said)}`)
}

/** TLS on a port that is nobody's listener by its settings, and a request, without a CONNECT. */
async function useWithoutConnect({ proxy, allowed, patienceMs }: AttackWorld, port: number): Promise<string> {
  const inside = await secure(await open(port), 'allowed.test', patienceMs, proxy.root)
  if (inside === undefined) return 'does not speak TLS'
  const authority = `allowed.test:${allowed.port}`
  const said = await ask(inside.socket, `GET ${allowedPath} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`, patienceMs)
  inside.socket.destroy()
  return `answers ${toldAs(said)} without a CONNECT`
}

const openPorts: Attack = {
  name: 'looking inside opens no listener',
  tried: 'listening ports after three intercepted hosts',
  run: async (world) => {
    const before = listeningPorts(world.proxy.pid)
    for (const label of ['p1', 'p2', 'p3']) await visit(world, `${label}.allowed.test`)
    const [added, ...more] = listeningPorts(world.proxy.pid).filter((port) => !before.includes(port))
    if (added === undefined) return { held: true, seen: `${before.length} before and after` }
    return { held: false, seen: `${more.length + 1} new; one of them ${await useWithoutConnect(world, added)}` }
  },
}

const manyHosts = 500
/** what a process may hold more when nobody is connected any more, such as a file of its journal */
const spareDescriptors = 20

const growth: Attack = {
  name: 'what was made for 500 hosts is let go with their connections',
  tried: `descriptors after ${manyHosts} intercepted hosts, all left again`,
  run: async (world) => {
    const { pid } = world.proxy
    for (let turn = 0; turn < 50; turn += 1) await visit(world, 'allowed.test')
    const before = { descriptors: descriptorsOf(pid), ports: listeningPorts(pid).length, megabytes: residentMegabytes(pid) }
    for (let place = 0; place < manyHosts; place += 1) await visit(world, `h${place}.allowed.test`)
    const held = await until(world.patienceMs, () => descriptorsOf(pid) <= before.descriptors + spareDescriptors)
    const megabytes = residentMegabytes(pid) - before.megabytes
    return {
      held: held && listeningPorts(pid).length === before.ports,
      seen: `descriptors ${before.descriptors} → ${descriptorsOf(pid)}, listeners ${before.ports} → ${listeningPorts(pid).length}, resident +${megabytes.toFixed(0)} MB`,
    }
  },
}

const newHosts = 20
const attempts = 3
/** of the time in which certificates are made, how much another client may be left without an answer */
const tolerable = 0.5

/** The share of the time in which 20 hosts are entered that another client is not served in. */
async function stalledShare(world: AttackWorld, first: number): Promise<number> {
  const probe = await LoopProbe.open(world.proxy.port, `plain.test:${world.plain.port}`)
  try {
    await probe.answers(200)
    probe.begin()
    for (let place = first; place < first + newHosts; place += 1) await visit(world, `s${place}.allowed.test`)
    return probe.stalled()
  } finally {
    probe.close()
  }
}

const stall: Attack = {
  name: 'making certificates for new hosts does not keep other clients waiting',
  tried: `a client on another connection while ${newHosts} new hosts are entered`,
  run: async (world): Promise<Finding> => {
    // other work of the machine only adds to it, so the least of several is the proxy's own
    let least = 1
    for (let attempt = 0; attempt < attempts && least > tolerable; attempt += 1) least = Math.min(least, await stalledShare(world, attempt * newHosts))
    return { held: least <= tolerable, seen: `unserved ${Math.round(least * 100)} % of the time` }
  },
}

export const machineAttacks: readonly Attack[] = [pathInAuthority, readableKey, openPorts, growth, stall]
