// A real ClientHello: the first bytes that node:tls writes for a name. Nothing is sent anywhere.
import { Duplex } from 'node:stream'
import { connect } from 'node:tls'

/** The bytes of one TLS record that open a session with `servername`. */
export function captureClientHello(servername: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const wire = new Duplex({
      read() {},
      write(bytes: Buffer, _encoding, callback) {
        resolve(Buffer.from(bytes))
        callback()
        wire.destroy()
      },
    })
    const socket = connect({ socket: wire, servername, ALPNProtocols: ['h2', 'http/1.1'] })
    socket.once('error', reject)
  })
}
