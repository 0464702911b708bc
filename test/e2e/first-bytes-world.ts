// A proxy with an echo and an HTTP origin, for what connections begin with.
import net from 'node:net'
import type { Test } from 'tap'
import { ReadBuffers } from '../../src/egress/read-buffers.ts'
import { rawOrigin, type Origin } from '../support/origins.ts'
import { plainHosts, plainPolicy } from '../support/plain-world.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { ok, strictOrigin } from '../support/strict-origin.ts'

export const established = 'HTTP/1.1 200 Connection established\r\n\r\n'
export const connect = (authority: string): string => `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`

const buffers = new Set<ReadBuffers>()
/** private buffers that were taken */
export const lending = { count: 0 }
const { borrow } = ReadBuffers.prototype
ReadBuffers.prototype.borrow = function borrowed(): Buffer<ArrayBuffer> {
  buffers.add(this)
  lending.count += 1
  return borrow.call(this)
}

export interface World {
  readonly proxy: TestProxy
  /** sends back what it is sent */
  readonly echo: Origin
  /** port of an HTTP origin */
  readonly http: number
  /** waits until the proxy has no connection, no tunnel and no buffer in hand */
  readonly nothingLeft: () => Promise<void>
}

export async function world(t: Test, headersTimeoutMs = 60_000): Promise<World> {
  const echo = await rawOrigin(t, (socket) => socket.pipe(socket))
  const origin = await strictOrigin(t, ({ target }) => ok(target))
  const proxy = await startProxy(t, {
    policy: `${plainPolicy(origin.port)}
[[network.rules]]\nid = "tls"\nhosts = ["allowed.test:${echo.port}", "allowed.test:80"]\nlocal = ["127.0.0.1/32"]\nverdict = "allow"
[[network.rules]]\nid = "raw"\nhosts = ["raw.test:${echo.port}"]\nlocal = ["127.0.0.1/32"]\nraw = "any"\nverdict = "allow"\n`,
    hosts: { ...plainHosts, 'raw.test': '127.0.0.1' },
    flags: { ops: '127.0.0.1:0' },
    change: (settings) => ({ ...settings, limits: { ...settings.limits, headersTimeoutMs } }),
  })
  const isIdle = async (): Promise<boolean> => {
    const metrics = await (await fetch(`${proxy.ops}/metrics`)).text()
    const open = /^sallyport_open_(?:connections|tunnels) (\d+)$/gm
    return [...metrics.matchAll(open)].map(([, count]) => count).join(' ') === '0 0' && [...buffers].every(({ lentBytes }) => lentBytes === 0)
  }
  const nothingLeft = async (): Promise<void> => {
    while (!(await isIdle())) await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return { proxy, echo, http: origin.port, nothingLeft }
}

/** Turns of the loop, in which the proxy, which is in this process, reads what was sent. */
export async function turns(count = 4): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Makes sockets look unlike those that can be armed, as another version of node may. */
export function disguise(t: Test): void {
  const { constructor } = net.Socket.prototype
  net.Socket.prototype.constructor = function Another() {}
  t.teardown(() => (net.Socket.prototype.constructor = constructor))
}
