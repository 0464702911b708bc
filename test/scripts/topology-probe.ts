// One attempt after another to get out, from whatever namespace it is started in, to addresses of the
// test's own namespaces only. Prints one `ok` or `not ok` line for each and never waits long.
//   node topology-probe.ts reaches      the attempts succeed: what the other runs refuse is really there
//   node topology-probe.ts sealed NOTE  they fail, and the proxy is the one thing that answers
//   node topology-probe.ts stranger     the proxy turns this client away
import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

const [role = '', note = ''] = process.argv.slice(2)
const origin = '10.201.2.2'
const origin6 = 'fd77:201:2::2'
const proxyInside = '10.201.1.1'
const proxyInside6 = 'fd77:201:1::1'
const proxyOutside = '10.201.2.1'
const proxyPort = 3128
const opsPort = 3130
const controlPort = 3129
const patienceMs = 1_200

// id 1, recursion wanted, one question: a.test IN A
const dnsQuery = Buffer.from('000101000001000000000000016104746573740000010001', 'hex')

let failures = 0
function report(isFine: boolean, sentence: string, seen: string): void {
  if (!isFine) failures += 1
  process.stdout.write(`${isFine ? 'ok' : 'not ok'} ${sentence}${note === '' ? '' : ` (${note})`}${isFine ? '' : `: ${seen.replaceAll(/\s+/g, ' ')}`}\n`)
}

/** `open`, or why not. */
function tcp(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const timer = setTimeout(() => end('no answer'), patienceMs)
    const end = (outcome: string): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(outcome)
    }
    socket.once('connect', () => end('open'))
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message))
  })
}

function udp(host: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    const timer = setTimeout(() => end('no answer'), patienceMs)
    const end = (outcome: string): void => {
      clearTimeout(timer)
      socket.removeAllListeners('error')
      socket.on('error', () => undefined)
      socket.close()
      resolve(outcome)
    }
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message))
    socket.once('message', () => end('open'))
    socket.send(dnsQuery, 53, host, (error) => {
      if (error !== null) end('code' in error ? String(error.code) : error.message)
    })
  })
}

/** Sends one head to the proxy and resolves to its answer: the whole of it, or the head that opens a tunnel. */
function ask(head: string, proxy = proxyInside): Promise<{ answer: string; socket: Socket }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: proxy, port: proxyPort })
    const timer = setTimeout(() => reject(new Error('the proxy did not answer')), 10_000)
    let text = ''
    const onData = (bytes: Buffer): void => {
      text += bytes.toString('latin1')
      if (head.startsWith('CONNECT ') && text.startsWith('HTTP/1.1 200 ') && text.includes('\r\n\r\n')) done()
    }
    const done = (): void => {
      clearTimeout(timer)
      socket.off('data', onData)
      resolve({ answer: text, socket })
    }
    socket.on('data', onData)
    socket.once('end', done)
    socket.once('error', reject)
    socket.write(head)
  })
}

async function answerTo(head: string, proxy?: string): Promise<string> {
  const { answer, socket } = await ask(head, proxy)
  socket.destroy()
  return answer
}

const get = (url: string): string => `GET ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\nConnection: close\r\n\r\n`
const tunnelTo = (authority: string): string => `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`

const attempts: readonly (readonly [string, () => Promise<string>])[] = [
  ['HTTP straight to the origin', () => tcp(origin, 80)],
  ['TLS straight to the origin', () => tcp(origin, 443)],
  ['DNS over UDP', () => udp(origin)],
  ['DNS over TCP', () => tcp(origin, 53)],
  ['HTTP straight to the origin over IPv6', () => tcp(origin6, 80)],
  ['DNS over UDP over IPv6', () => udp(origin6)],
]

async function reaches(): Promise<void> {
  for (const [what, attempt] of attempts) {
    const seen = await attempt()
    report(seen === 'open', `${what} works from the proxy's place`, seen)
  }
  const ops = await tcp('127.0.0.1', opsPort)
  report(ops === 'open', "the ops listener is open on the proxy's own loopback", ops)
}

async function sealed(): Promise<void> {
  const escapes: [string, () => Promise<string>][] = attempts.map(([what, attempt]) => [what, attempt])
  for (const [host, where] of [[proxyInside, 'the gateway'], [proxyOutside, "the proxy's outer address"]] as const) {
    escapes.push([`the ops listener by ${where}`, () => tcp(host, opsPort)])
    escapes.push([`the control listener by ${where}`, () => tcp(host, controlPort)])
    for (const port of [22, 53, 80, 443, 2375, 8080]) escapes.push([`port ${port} of ${where}`, () => tcp(host, port)])
    escapes.push([`DNS over UDP at ${where}`, () => udp(host)])
  }
  escapes.push(['the proxy by its IPv6 address', () => tcp(proxyInside6, proxyPort)])
  escapes.push(['the ops listener by IPv6', () => tcp(proxyInside6, opsPort)])
  escapes.push(['a name looked up by the system', () => lookUp('allowed.test')])
  const seen = await Promise.all(escapes.map(([, attempt]) => attempt()))
  for (const [index, [what]] of escapes.entries()) report(seen[index] !== 'open', `${what} does not get out of the agent's place`, 'it is open')
}

async function lookUp(name: string): Promise<string> {
  try {
    await lookup(name)
    return 'open'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function throughTheProxy(): Promise<void> {
  const allowed = await answerTo(get('http://allowed.test/'))
  report(allowed.startsWith('HTTP/1.1 200 '), 'an allowed host works over plain HTTP', allowed)
  const body = await overTls()
  report(body === 'the origin\n', 'an allowed host works over TLS in a tunnel', body)
  const refused: [string, string, RegExp][] = [
    ['a denied host over plain HTTP', get('http://denied.test/'), /"code":"denied_by_rule"/],
    ['a denied host by CONNECT', tunnelTo('denied.test:443'), /"code":"denied_by_rule"/],
    ['a host no rule names', tunnelTo('unknown.test:443'), /"code":"not_allowed"/],
    ["the origin by its address", tunnelTo(`${origin}:443`), /"code":"(ip_literal_denied|ip_denied)"/],
    ["the origin by its IPv6 address", tunnelTo(`[${origin6}]:443`), /"code":"(ip_literal_denied|ip_denied)"/],
    ["the ops listener by the proxy's loopback", tunnelTo(`127.0.0.1:${opsPort}`), /"code":"(self|port_denied|ip_literal_denied|ip_denied)"/],
    ['the ops listener by a name of the gateway that a rule allows', tunnelTo(`gateway.test:${opsPort}`), /"code":"self"/],
    ['the proxy itself by a name of the gateway that a rule allows', tunnelTo(`gateway.test:${proxyPort}`), /"code":"self"/],
    ['the cloud metadata address', get('http://169.254.169.254/'), /"code":"(ip_literal_denied|ip_denied)"/],
  ]
  for (const [what, head, code] of refused) {
    const answer = await answerTo(head)
    report(answer.startsWith('HTTP/1.1 403 ') && code.test(answer), `${what} is refused with 403`, answer)
  }
}

async function overTls(): Promise<string> {
  const { answer, socket } = await ask(tunnelTo('allowed.test:443'))
  if (!answer.startsWith('HTTP/1.1 200 ')) return answer
  return new Promise((resolve) => {
    const secure = connectTls({ socket, servername: 'allowed.test', rejectUnauthorized: false })
    const timer = setTimeout(() => secure.destroy(new Error('no answer in the tunnel')), 10_000)
    let text = ''
    secure.on('data', (bytes) => (text += bytes.toString('latin1')))
    secure.once('error', (error) => resolve(error.message))
    secure.once('close', () => {
      clearTimeout(timer)
      resolve(text)
    })
  })
}

switch (role) {
  case 'reaches':
    await reaches()
    break
  case 'sealed':
    await throughTheProxy()
    await sealed()
    break
  case 'stranger': {
    const answer = await answerTo(get('http://allowed.test/'), proxyOutside).catch((error: unknown) => String(error))
    report(answer.startsWith('HTTP/1.1 403 ') || answer === '', 'a client whose address is not in `clients` is turned away', answer)
    break
  }
  default:
    report(false, 'a role is named', role)
}
process.exitCode = failures === 0 ? 0 : 1
