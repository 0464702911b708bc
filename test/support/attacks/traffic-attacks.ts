// Attacks by what is sent: names that disagree, protocols inside protocols, fields that must not get through.
import { allowedPath, enter, enterAllowed, toldAs, watching, type Attack } from './attack.ts'
import { ask, connectTo } from './inside-client.ts'

const get = (host: string, path: string, fields = ''): string => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`

/** Lines of the origin's request with this name, as they arrived. */
function linesOf(rawHeaders: readonly string[], name: string): readonly string[] {
  return rawHeaders.filter((_value, place) => place % 2 === 1 && rawHeaders[place - 1]?.toLowerCase() === name)
}

/** Nothing below says anything about a proxy that serves nobody. */
const allowedRequest: Attack = {
  name: 'a request that is allowed is served, inside a tunnel whose certificate is the proxy\'s own',
  tried: 'an allowed request inside TLS',
  run: async (world) => {
    const since = watching(world)
    const inside = await enterAllowed(world)
    const said = await ask(inside.socket, get(`allowed.test:${world.allowed.port}`, allowedPath), world.patienceMs)
    inside.socket.destroy()
    return { held: said.status === 200 && inside.isVerified && since().allowed === 1, seen: `${toldAs(said)}, certificate ${inside.isVerified ? 'verified' : 'not verified'}` }
  },
}

const innerHost: Attack = {
  name: 'the Host of a request inside a tunnel does not choose another destination',
  tried: '`Host: evil.test` inside a tunnel to an allowed host',
  run: async (world) => {
    const since = watching(world)
    const { socket } = await enterAllowed(world)
    const said = await ask(socket, get(`evil.test:${world.evil.port}`, allowedPath), world.patienceMs)
    socket.destroy()
    const { evil, allowed } = since()
    return { held: evil === 0 && allowed === 0 && said.status === 421, seen: `${toldAs(said)}; evil.test got ${evil}, the allowed host ${allowed}` }
  },
}

const plainInTunnel: Attack = {
  name: 'plain HTTP inside a tunnel goes nowhere',
  tried: 'plain HTTP for another host inside an allowed tunnel',
  run: async (world) => {
    const since = watching(world)
    const authority = `127.0.0.1:${world.evilPlain.port}`
    const { socket, said } = await connectTo(world.proxy.port, `allowed.test:${world.allowed.port}`, world.patienceMs)
    if (said.status !== 200) throw new Error(`no tunnel to an allowed host: ${toldAs(said)}`)
    const answer = await ask(socket, get(authority, `http://${authority}${allowedPath}`), world.patienceMs)
    socket.destroy()
    const { evil, allowed } = since()
    return { held: evil === 0 && allowed === 0 && answer.status === 403, seen: `${toldAs(answer)}; the other host got ${evil}` }
  },
}

const ipv6Literal: Attack = {
  name: 'an IPv6 literal is a name like any other: the certificate is for the address and the request arrives',
  tried: '`CONNECT [::1]:PORT`, allowed by the rules',
  run: async (world) => {
    if (world.allowedOnIpv6 === undefined) throw new Error('this machine has no IPv6 loopback')
    const authority = `[::1]:${world.allowedOnIpv6.port}`
    const { connect, inside } = await enter(world, authority, '::1')
    if (inside === undefined) return { held: false, seen: `CONNECT ${toldAs(connect)}, no TLS` }
    const names = inside.socket.getPeerX509Certificate()?.subjectAltName ?? 'no name'
    const said = await ask(inside.socket, get(authority, allowedPath), world.patienceMs)
    inside.socket.destroy()
    return { held: inside.isVerified && said.status === 200, seen: `certificate for ${names}, ${inside.isVerified ? 'verified' : 'not verified'}; ${toldAs(said)}` }
  },
}

const refusal: Attack = {
  name: 'a refusal is an answer: the client is told and not left to wait',
  tried: 'CONNECT to a host that is not allowed',
  run: async (world) => {
    const since = watching(world)
    const { socket, said } = await connectTo(world.proxy.port, `evil.test:${world.evil.port}`, world.patienceMs)
    socket.destroy()
    return { held: said.status === 403 && since().evil === 0, seen: said.status === undefined ? `${toldAs(said)} within ${world.patienceMs / 1000} s` : toldAs(said) }
  },
}

const webSocket: Attack = {
  name: 'an upgrade inside a tunnel is judged like every request',
  tried: 'a WebSocket upgrade to a path that no rule allows',
  run: async (world) => {
    const since = watching(world)
    const { socket } = await enterAllowed(world)
    const fields = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
    const said = await ask(socket, get(`allowed.test:${world.allowed.port}`, '/private', fields), world.patienceMs)
    // one that says 101 by itself asks the origin afterwards
    if (said.status === 101) await ask(socket, '', Math.min(1000, world.patienceMs))
    socket.destroy()
    const { allowed } = since()
    return { held: said.status === 403 && allowed === 0, seen: `${toldAs(said)}; the origin got ${allowed}` }
  },
}

const connectionFields: Attack = {
  name: 'what is meant for the next hop ends there',
  tried: 'fields named by `Connection`, `Keep-Alive` and `TE`',
  run: async (world) => {
    const { socket } = await enterAllowed(world)
    const fields = 'Connection: keep-alive, X-Hop\r\nX-Hop: for the proxy alone\r\nKeep-Alive: timeout=5\r\nTE: gzip\r\n'
    const said = await ask(socket, get(`allowed.test:${world.allowed.port}`, allowedPath, fields), world.patienceMs)
    socket.destroy()
    const raw = world.allowed.requests.at(-1)?.rawHeaders ?? []
    const leaked = ['x-hop', 'keep-alive', 'te'].filter((name) => linesOf(raw, name).length > 0)
    return { held: said.status === 200 && leaked.length === 0, seen: `${toldAs(said)}; reached the origin: ${leaked.join(', ') || 'none of them'}` }
  },
}

const twoLines: Attack = {
  name: 'a field that comes twice arrives twice, in both directions',
  tried: 'the same field on two lines, and in the answer',
  run: async (world) => {
    const { socket } = await enterAllowed(world)
    const said = await ask(socket, get(`allowed.test:${world.allowed.port}`, allowedPath, 'X-Two: a\r\nX-Two: b\r\n'), world.patienceMs)
    socket.destroy()
    const sent = linesOf(world.allowed.requests.at(-1)?.rawHeaders ?? [], 'x-two')
    const answered = [...said.text.matchAll(/\r\nx-two: *([^\r]*)/gi)].map(([, value]) => value)
    return { held: sent.join('|') === 'a|b' && answered.join('|') === 'a|b', seen: `the origin got ${sent.length} line(s) (${sent.join(' | ')}), the client ${answered.length} (${answered.join(' | ')})` }
  },
}

export const trafficAttacks: readonly Attack[] = [allowedRequest, innerHost, plainInTunnel, ipv6Literal, refusal, webSocket, connectionFields, twoLines]
