// Sends bytes and reads bytes: for everything that a well-behaved client would never send.
import net from 'node:net'

/** Sends `bytes` on a new connection and resolves with all that came back until the other side closed,
 * or until `enough` says so. */
export function rawExchange(port: number, bytes: string | Uint8Array, enough?: (received: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: '127.0.0.1', port })
    let received = ''
    socket.on('connect', () => socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes))
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
      if (enough?.(received) === true) socket.destroy()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error)
    })
    socket.on('close', () => resolve(received))
  })
}

export interface Tunnel {
  readonly socket: net.Socket
  readonly head: string
}

/** Opens a tunnel by CONNECT; the socket is the client's end of it when the answer was 200. */
export function openTunnel(port: number, authority: string, credentials?: string): Promise<Tunnel> {
  const field = credentials === undefined ? '' : `Proxy-Authorization: ${credentials}\r\n`
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true })
    let received = Buffer.alloc(0)
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk])
      const end = received.indexOf('\r\n\r\n')
      if (end < 0) return
      socket.off('data', onData)
      socket.pause()
      if (received.length > end + 4) socket.unshift(received.subarray(end + 4))
      resolve({ socket, head: received.toString('latin1', 0, end) })
    }
    socket.on('connect', () => socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${field}\r\n`))
    socket.on('data', onData)
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`closed before an answer: ${received.toString('latin1')}`)))
  })
}
