// The destination of the demo: a small https service on a free port of loopback that counts who came. It needs
// no certificate: client and server share a key that is made for this run and kept in memory only.
import { randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:https'
import type { PSKCallbackNegotation } from 'node:tls'

/** RFC 4279 with AES-GCM (RFC 5487): TLS without certificates. */
export const pskCipher = 'PSK-AES128-GCM-SHA256'

export class DemoOrigin {
  readonly #server: Server
  readonly #key = randomBytes(16)
  #requests = 0
  #port = 0

  constructor() {
    const key = this.#key
    this.#server = createServer({ ciphers: pskCipher, maxVersion: 'TLSv1.2', pskCallback: () => key }, (request, response) => {
      this.#requests += 1
      response.setHeader('Content-Type', 'text/plain')
      response.end(`hello from ${request.headers.host ?? 'the origin'}\n`)
    })
    // a client that leaves in the middle is no fault of the demo
    this.#server.on('tlsClientError', (_error, socket) => socket.destroy())
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(0, '127.0.0.1', resolve)
    })
    const address = this.#server.address()
    this.#port = typeof address === 'object' && address !== null ? address.port : 0
  }

  get port(): number {
    return this.#port
  }

  /** requests that reached it */
  get requests(): number {
    return this.#requests
  }

  /** What a client that may speak to it says of the shared key. */
  credentials(): PSKCallbackNegotation {
    return { psk: this.#key, identity: 'demo' }
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
  }
}
