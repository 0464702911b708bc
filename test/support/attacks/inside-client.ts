// The attacker's client: CONNECT, a handshake with whatever certificate comes, and then exactly the bytes it is
// told to send. A proxy that says nothing is waited for no longer than a stated patience.
import { X509Certificate } from 'node:crypto'
import net from 'node:net'
import tls from 'node:tls'

/** An answer as far as it came: '' and no status when nothing did. */
export interface Said {
  readonly text: string
  /** of HTTP, when that is what it began with */
  readonly status: number | undefined
  readonly isClosed: boolean
}

export interface Inside {
  readonly socket: tls.TLSSocket
  /** the certificate held against the root and the host that were given */
  readonly isVerified: boolean
}

function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return false
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end + 2))?.[1]
  if (length !== undefined) return text.length >= end + 4 + Number(length)
  return /\r\ntransfer-encoding: *chunked/i.test(text.slice(0, end + 2)) ? text.endsWith('0\r\n\r\n') : /^HTTP\/1.1 (?:1|204)/.test(text)
}

/** Sends and listens until what came is whole, the other side closes, or patience ends. */
function sendAndHear(socket: net.Socket, bytes: string, patienceMs: number, isEnough: (text: string) => boolean): Promise<Said> {
  return new Promise((resolve) => {
    let text = ''
    const finish = (isClosed: boolean): void => {
      clearTimeout(timer)
      socket.off('data', onData).off('close', onClose)
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1]
      resolve({ text, isClosed, status: status === undefined ? undefined : Number(status) })
    }
    const onClose = (): void => finish(true)
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1')
      if (isEnough(text)) finish(false)
    }
    const timer = setTimeout(finish, patienceMs, false)
    socket.on('data', onData).on('close', onClose)
    if (socket.destroyed) finish(true)
    else socket.write(Buffer.from(bytes, 'latin1'))
  })
}

/** One request and its answer. */
export function ask(socket: net.Socket, bytes: string, patienceMs: number): Promise<Said> {
  return sendAndHear(socket, bytes, patienceMs, isWhole)
}

export async function open(port: number): Promise<net.Socket> {
  const socket = net.connect({ host: '127.0.0.1', port, noDelay: true })
  socket.on('error', () => socket.destroy())
  await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve))
  return socket
}

export interface Tunnelled {
  readonly socket: net.Socket
  readonly said: Said
}

/** A CONNECT and what came of it. */
export async function connectTo(port: number, authority: string, patienceMs: number): Promise<Tunnelled> {
  const socket = await open(port)
  // the answer to a CONNECT has no body that a length could tell of
  const said = await sendAndHear(socket, `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`, patienceMs, (text) => text.includes('\r\n\r\n'))
  return { socket, said }
}

/** TLS on a connection, for `host`; undefined when the handshake fails or patience ends. `root` is asked for once
 * the certificate has come, for a proxy may make its root on first need. */
export function secure(socket: net.Socket, host: string, patienceMs: number, root: () => string): Promise<Inside | undefined> {
  return new Promise((resolve) => {
    const secured = tls.connect({ socket, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'], ...(net.isIP(host) === 0 ? { servername: host } : {}) })
    const timer = setTimeout(() => secured.destroy(), patienceMs)
    secured.on('error', () => secured.destroy())
    secured.once('close', () => {
      clearTimeout(timer)
      resolve(undefined)
    })
    secured.once('secureConnect', () => {
      clearTimeout(timer)
      resolve({ socket: secured, isVerified: verifies(secured, host, root()) })
    })
  })
}

function verifies(secured: tls.TLSSocket, host: string, root: string): boolean {
  const leaf = secured.getPeerX509Certificate()
  if (leaf === undefined) return false
  return leaf.verify(new X509Certificate(root).publicKey) && (net.isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)) !== undefined
}
