// No secret is told on: values planted wherever a client or an origin may put one go through a running proxy,
// and not one of them stands in the journal's bytes, the operator log or what the collector got.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { plainHosts, plainPolicy } from '../support/plain-world.ts'
import { collectorAt } from '../support/collector.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { ok, strictOrigin } from '../support/strict-origin.ts'
import { WireClient } from '../support/wire-client.ts'
import { startReceiver } from './receiver.ts'

interface Planted {
  readonly where: string
  /** what tells on it, in lower case; of one of `needleLengths` */
  readonly needle: string
}

// long enough to stand nowhere by chance
const needleLengths = [10, 12] as const

/** Values that stand nowhere else, and where each was planted. */
class Plants {
  readonly all: Planted[] = []

  /** 12 letters and digits in a word as people choose passwords. */
  word(where: string): string {
    const digest = createHash('sha256').update(`planted ${this.all.length}`).digest('base64')
    const text = digest.replaceAll(/[^A-Za-z0-9]/g, '').slice(0, 12)
    this.all.push({ where, needle: text.slice(0, 10).toLowerCase() })
    return text
  }

  /** As scanners know it: a prefix, which is put together here so that they leave this file alone. */
  token(where: string, prefix: string): string {
    return prefix + this.word(where).repeat(3)
  }

  hex(where: string): string {
    const text = createHash('sha256').update(`planted ${this.all.length}`).digest('hex')
    this.all.push({ where, needle: text.slice(0, 12) })
    return text
  }

  /** The credentials of a Basic scheme. */
  basic(where: string): string {
    const text = Buffer.from(`agent:${this.word(where)}`).toString('base64')
    this.all.push({ where: `${where}, encoded`, needle: text.slice(8, 20).toLowerCase() })
    return text
  }

  /** One pass over the text, which looks closer only where four letters begin a needle: there are many of both. */
  foundIn(text: string): readonly string[] {
    const bytes = Buffer.from(text.toLowerCase(), 'latin1')
    const places = new Map(this.all.map(({ where, needle }) => [needle, where]))
    const beginnings = new Set(this.all.map(({ needle }) => Buffer.from(needle, 'latin1').readInt32BE()))
    const found = new Set<string>()
    let last4 = 0
    for (const [at, byte] of bytes.entries()) {
      last4 = (last4 << 8) | byte
      if (!beginnings.has(last4)) continue
      for (const length of needleLengths) {
        const where = places.get(bytes.toString('latin1', at - 3, at - 3 + length))
        if (where !== undefined) found.add(where)
      }
    }
    return [...found]
  }
}

const prefixes = [['gh', 'p_'], ['github', '_pat_'], ['gl', 'pat-'], ['sk', '-proj-'], ['sk', '_live_'], ['xo', 'xb-'], ['AK', 'IA'], ['AI', 'za'], ['ey', 'J'], ['np', 'm_'], ['h', 'f_'], ['hv', 's.'], ['do', 'p_v1_'], ['S', 'G.'], ['xa', 'pp-'], ['ya', '29.'], ['shp', 'at_']] as const

const githubPrefix = prefixes[0].join('')

type Case = readonly [where: string, bytes: string]

function urlCases(plants: Plants, port: number): readonly Case[] {
  const hosts = [`allowed.test:${port}`, 'denied.test', 'unknown.test']
  const get = (target: string, host: string): string => `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
  const userInfo = (host: string): readonly Case[] => ['S@', 'bob:S@', 'S:x@', 'bob:p/S@', 'bob:p@/S@', 'bob:p?S@', 'bob:p#S@', 'bob:S%40x@', 'bob:p:S@'].flatMap((shape): readonly Case[] => {
    const targets = ['http://H/', 'https://H/', 'H', '//H/', 'ftp://H/', 'http:/H', 'http://H:99999/', 'http://a b/H'].map((target) => target.replace('H', () => `${shape}${host}`))
    return targets.flatMap((target): readonly Case[] => ['GET', 'CONNECT'].map((method): Case => {
      const where = `user information, ${method} ${target}`
      return [where, get(target.replace('S', plants.word(where)), host).replace('GET', method)]
    }))
  })
  const queries = (host: string): readonly Case[] => ['token=S', 'q=S', 'a=1;b=S', 'a=1&S2=x&b=S', 'S3', 'a[]=S', '=S', 'a=S S', 'redirect=http://bob:S@x/', 'a=S#S', 'a=%22S', 'a==S'].map((query): Case => {
    const where = `query, ${host} ${query}`
    const text = query.replaceAll('S2', 'key').replaceAll('S3', () => plants.token(where, githubPrefix)).replaceAll('S', () => plants.word(where))
    return [where, get(`http://${host}/search?${text}`, host)]
  })
  const segments = (host: string): readonly Case[] => ['/S', '/api/S/x', '/x;key=S', '/a%2fS', '/http://bob:S@x/', '/S?S', '/S x', '/S#S', '/S\x01', '/token=S', '/a/../S'].flatMap((path): readonly Case[] => prefixes.map(([first, second]): Case => {
    const where = `path, ${host} ${first}${second} ${path}`
    return [where, get(`http://${host}${path.replaceAll('S', () => plants.token(where, first + second))}`, host)]
  }))
  const notForProxies = (): readonly Case[] => ['/S', '/x?token=S', '*?S', 'S', '?S', '#S'].map((target): Case => {
    const where = `origin-form, ${target}`
    return [where, get(target.replace('S', () => plants.token(where, githubPrefix)), hosts[0] ?? '')]
  })
  const hex = hosts.map((host): Case => [`hex path, ${host}`, get(`http://${host}/hooks/${plants.hex(`hex path, ${host}`)}`, host)])
  return [...hosts.flatMap((host) => [...userInfo(host), ...queries(host), ...segments(host)]), ...notForProxies(), ...hex]
}

function fieldCases(plants: Plants, port: number): readonly Case[] {
  const fields = [
    'Authorization: Bearer S', 'Authorization: Basic B', 'Proxy-Authorization: Bearer S', 'Proxy-Authorization: Basic B', 'Proxy-Authorization: S', 'Cookie: session=S', 'Cookie2: S', 'X-Api-Key: S', 'Referer: http://a.test/?token=S',
    'Host: bob:S@x', 'Host: x?S', 'Host: x/S', 'Host: x S', 'Connection: close, S', 'Connection: Bearer S', 'Connection: a/S', 'Upgrade: S', 'Expect: S', 'Max-Forwards: S', 'Via: 1.1 S', 'TE: S', 'Trailer: S', 'Content-Length: S', 'Transfer-Encoding: S', 'Transfer-Encoding: chunked, S', 'Sec-WebSocket-Protocol: S',
    'Authorization : Bearer S', ' Authorization: Bearer S', 'Authorization: Bearer\r\n S', 'Authorization: Bearer S\0', 'Authorization: Bearer S\rx', 'Authorization Bearer S', ': S', 'Authorization: S\nX: S', `Authorization: S${'a'.repeat(20_000)}`, 'Proxy-Connection: S', 'Forwarded: for=S', 'X-Forwarded-For: S',
    'User-Agent: curl/8 (P)', 'User-Agent: P', 'User-Agent: agent/1.0 Bearer S', 'User-Agent: agent/1.0 (Authorization: Bearer S)', 'User-Agent: Basic B', 'User-Agent: agent token=S', 'User-Agent: agent api_key: S', 'User-Agent: http://bob:S@x/', 'User-Agent: x (+http://a.test/?q=S)', 'User-Agent: bob:S@x', 'User-Agent: {"token":"S"}', `User-Agent: ${'a '.repeat(250)}P`,
  ]
  return ['allowed.test', 'denied.test'].flatMap((name): readonly Case[] => ['GET', 'POST', 'CONNECT'].flatMap((method): readonly Case[] => fields.flatMap((field): readonly Case[] => {
    const host = `${name}:${port}`
    const kinds = field.includes('P)') || field.endsWith('P') ? prefixes : [['', '']]
    return kinds.map(([first = '', second = '']): Case => {
      const where = `field, ${method} ${host.slice(0, 11)} ${first}${second} ${field.slice(0, 60)}`
      const text = field.replace(/\bS/g, () => plants.word(where)).replace(/\bB\b/, () => plants.basic(where)).replace(/P(?=\)|$)/, () => plants.token(where, first + second))
      const own = field.startsWith('Host:') ? '' : `Host: ${host}\r\n`
      return [where, `${method} ${method === 'CONNECT' ? host : `http://${host}/`} HTTP/1.1\r\n${own}${text}\r\nConnection: close\r\n\r\n`]
    })
  })))
}

function bodyCases(plants: Plants, port: number): readonly Case[] {
  const host = `allowed.test:${port}`
  const bodies = [
    'Content-Length: 12\r\n\r\nS', 'Content-Length: 2\r\n\r\nokpassword=S&x=1\r\n', 'Content-Length: 2\r\n\r\nok{"password":"S"}\r\n\r\n', 'Content-Length: 2\r\n\r\nokAuthorization: Bearer S\r\n\r\n', 'Content-Length: 2\r\n\r\nokBearer S\r\n\r\n', 'Content-Length: 500\r\n\r\nS',
    'Transfer-Encoding: chunked\r\n\r\nc\r\nS\r\n0\r\n\r\n', 'Transfer-Encoding: chunked\r\n\r\nS\r\n', 'Transfer-Encoding: chunked\r\n\r\n2;key=S\r\nok\r\n0\r\n\r\n', 'Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Token: S\r\n\r\n', 'Transfer-Encoding: chunked\r\n\r\n2\r\nokS\r\n0\r\n\r\n',
    'Content-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\nS',
  ]
  const requests = bodies.map((body): Case => {
    const where = `body, ${body}`
    return [where, `POST http://${host}/body HTTP/1.1\r\nHost: ${host}\r\n${body.replace('S', () => plants.word(where))}`]
  })
  const streams = ['S', 'S\r\n\r\n', '\x16\x03\x01S', '\x05\x01S', '\x04\x01S\0', 'Authorization: Bearer S\r\n\r\n', 'token=S\r\n', '{"api_key":"S"}\n', 'GET http://bob:S', 'GET http://h/?token=S', 'GET http://bob:S@x/ HTTP/9.9\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nS\r\n\r\n', 'G\0ET http://bob:S@x/ HTTP/1.1\r\n\r\n', 'GET http://h/?q=S HTTP/1.1 x\r\n\r\n', 'GET\thttp://bob:S@h/ HTTP/1.1\r\n\r\n']
  const raw = streams.map((bytes): Case => {
    const where = `stream, ${bytes}`
    return [where, bytes.replace('S', () => plants.word(where))]
  })
  const tunnels = streams.flatMap((bytes): readonly Case[] => [host, 'eighty.test:80'].map((authority): Case => {
    const where = `tunnel to ${authority.slice(0, 11)}, ${bytes}`
    return [where, `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n${bytes.replace('S', () => plants.word(where))}`]
  }))
  const inner = ['GET /S', 'GET /?token=S', 'GET http://bob:S@eighty.test/', 'POST /x'].map((line): Case => {
    const where = `in a tunnel to port 80, ${line}`
    const bytes = `${line.replace('S', () => plants.token(where, githubPrefix))} HTTP/1.1\r\nHost: eighty.test\r\nAuthorization: Bearer ${plants.word(where)}\r\nConnection: close\r\n\r\n`
    return [where, `CONNECT eighty.test:80 HTTP/1.1\r\nHost: eighty.test:80\r\n\r\n${bytes}`]
  })
  const upgrades = ['/chat?token=S', '/S'].map((path): Case => {
    const where = `upgrade, ${path}`
    const bytes = `GET http://${host}${path.replace('S', () => plants.token(where, githubPrefix))} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n`
    return [where, `${bytes}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ${plants.word(where)}\r\n\r\n`]
  })
  return [...requests, ...raw, ...tunnels, ...inner, ...upgrades]
}

/** What an origin says is nobody's business either. */
function originCases(plants: Plants, port: number): { readonly cases: readonly Case[]; readonly answers: ReadonlyMap<string, string> } {
  const shapes = ['HTTP/1.1 200 OK\r\nSet-Cookie: id=S\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 302 Found\r\nLocation: http://bob:S@x/?token=S\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 200 S\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 200 OK\r\nBad field S\r\n\r\n', 'S S S\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: S\r\n\r\n', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nS\r\n', 'HTTP/1.1 101 S\r\nUpgrade: S\r\n\r\n', `HTTP/1.1 200 OK\r\nX: S${'a'.repeat(70_000)}\r\n\r\n`]
  const host = `allowed.test:${port}`
  const answers = new Map(shapes.map((shape, at) => [`/origin/${at}`, shape.replaceAll('S', () => plants.word(`origin, ${shape.slice(0, 80)}`))]))
  return { answers, cases: [...answers.keys()].map((path): Case => [path, `GET http://${host}${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`]) }
}

async function play(proxy: TestProxy, bytes: string): Promise<void> {
  const client = await WireClient.open(proxy.port)
  client.send(bytes)
  client.socket.end()
  await client.closed()
}

// some are answered by a time limit alone
const atOnce = 800

async function playAll(proxy: TestProxy, cases: readonly Case[]): Promise<void> {
  for (let at = 0; at < cases.length; at += atOnce) await Promise.all(cases.slice(at, at + atOnce).map(([, bytes]) => play(proxy, bytes)))
}

function journalBytes(proxy: TestProxy): string {
  const dir = join(proxy.dir, 'var', 'journal')
  return readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1')).join('\n')
}

for (const mode of ['enforce', 'monitor'] as const) {
  t.test(`in ${mode} mode no planted secret is in the journal, the operator log or what the collector got`, { timeout: 100_000 }, async (t) => {
    const plants = new Plants()
    const receiver = await startReceiver(t)
    const answers = new Map<string, string>()
    const origin = await strictOrigin(t, ({ target }, socket) => {
      const answer = answers.get(target)
      if (answer === undefined) return ok('')
      socket.end(Buffer.from(answer, 'latin1'))
      return undefined
    })
    const eighty = `\n[[network.rules]]\nid = "eighty"\nhosts = ["eighty.test"]\nmethods = ["GET", "POST"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n`
    const proxy = await startProxy(t, {
      policy: plainPolicy(origin.port).replace('[network]', `[network]\nmode = "${mode}"`) + eighty,
      hosts: { ...plainHosts, 'eighty.test': '127.0.0.1' },
      change: (settings) => ({
        ...settings,
        otel: { ...settings.otel, exporter: collectorAt(receiver.endpoint) },
        limits: { ...settings.limits, headersTimeoutMs: 500, requestTimeoutMs: 500, helloTimeoutMs: 500, connections: 10_000, connectionsPerClient: 10_000 },
      }),
    })
    const { cases, answers: told } = originCases(plants, origin.port)
    for (const [path, answer] of told) answers.set(path, answer)
    const marker = 'visible-marker'
    const planted = [...cases, ...urlCases(plants, origin.port), ...fieldCases(plants, origin.port), ...bodyCases(plants, origin.port)]
    await playAll(proxy, [...planted, [marker, `GET http://allowed.test:${origin.port}/${marker} HTTP/1.1\r\nHost: allowed.test:${origin.port}\r\nUser-Agent: ${marker}\r\nConnection: close\r\n\r\n`]])
    t.ok(proxy.decisions().length >= planted.length / 2, `${proxy.decisions().length} decisions of ${planted.length} cases`)
    t.ok(plants.foundIn(origin.received()).length > 20, 'they were on their way')
    await proxy.stop(true)
    const { length } = proxy.records()
    while (receiver.accepted.length < length) await delay(20)
    const collected = JSON.stringify(receiver.posts)
    for (const [name, text] of [['journal', journalBytes(proxy)], ['collector', collected]] as const) {
      t.match(text, marker, `the ${name} was written`)
      t.strictSame(plants.foundIn(text), [], `the ${name} holds none`)
    }
    t.strictSame(plants.foundIn(proxy.log.join('\n')), [], 'the operator log holds none')
  })
}
