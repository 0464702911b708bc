// Raw ends of the wire for the egress tests: origins and clients that say exactly these bytes, and a
// proxy front around the forwarder that is as thin as it can be.
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { createForwarder, type Forwarder, type ForwarderOptions, type ForwardPlan, type ForwardResult } from '../../src/egress/forward.ts'

export interface Closable {
  readonly close: () => void
}

export function portOf(server: net.Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server does not listen')
  return address.port
}

/** Listens on a free port of loopback; what it accepts is destroyed by `close`. */
export async function listen(server: net.Server): Promise<{ readonly port: number } & Closable> {
  const open = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => {
    open.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => open.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: portOf(server),
    close: () => {
      server.close()
      for (const socket of open) socket.destroy()
    },
  }
}

export async function connectTo(port: number): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** Everything a socket says until it ends or breaks. */
export async function readAll(socket: net.Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  if (!socket.closed && !socket.readableEnded) {
    await Promise.race([once(socket, 'end'), once(socket, 'close')]).catch(() => {})
  }
  return Buffer.concat(chunks)
}

/** Reads until the text holds `wanted`; what came is returned and the socket keeps flowing. */
export async function readUntil(socket: net.Socket, wanted: string): Promise<string> {
  let text = ''
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const onData = (chunk: Buffer): void => {
    text += chunk.toString('latin1')
    if (text.includes(wanted)) resolve(text)
  }
  const onClose = (): void => reject(new Error(`closed before \`${wanted}\`: ${text}`))
  socket.on('data', onData)
  socket.once('close', onClose)
  try {
    return await promise
  } finally {
    socket.off('data', onData)
    socket.off('close', onClose)
  }
}

export interface ProxyFixture extends Closable {
  readonly port: number
  readonly results: ForwardResult[]
  readonly forwarder: Forwarder
  readonly dials: () => number
  /** the result of the exchange after `count` others */
  result(index: number): Promise<ForwardResult>
}

/** A proxy listener that forwards everything to `originPort`. `plan` changes what is forwarded. */
export async function proxyTo(
  originPort: number,
  options: Partial<ForwarderOptions> = {},
  plan: (request: http.IncomingMessage) => Partial<ForwardPlan> = () => ({}),
): Promise<ProxyFixture> {
  const forwarder = createForwarder({ pseudonym: 'sally-test', originTimeoutMs: 20_000, ...options })
  const results: ForwardResult[] = []
  const waiting = new Map<number, (result: ForwardResult) => void>()
  let dials = 0
  const server = http.createServer({ requestTimeout: 0 }, (request, response) => {
    const url = new URL(request.url ?? '', 'http://origin.test')
    const answer = (result: ForwardResult): void => {
      waiting.get(results.length)?.(result)
      results.push(result)
      if (result.error === undefined || result.headSent) return
      response.writeHead(502, { Connection: 'close', 'X-Code': result.error.code, 'Content-Length': result.error.code.length }).end(result.error.code)
    }
    void forwarder.forward(request, response, {
      method: request.method ?? 'GET',
      path: url.pathname + url.search,
      authority: 'origin.test',
      pool: { session: 's', host: 'origin.test', port: 80, addresses: ['127.0.0.1'], revision: 'r1' },
      connect: async () => {
        dials += 1
        return connectTo(originPort)
      },
      ...plan(request),
    }).then(answer)
  })
  // a client that ends its side after the request still gets its answer; Node has it off
  Reflect.set(server, 'httpAllowHalfOpen', true)
  const { port, close } = await listen(server)
  return {
    port, results, forwarder, dials: () => dials,
    result: async (index) => {
      const known = results[index]
      if (known !== undefined) return known
      return new Promise((resolve) => waiting.set(index, resolve))
    },
    close: () => {
      forwarder.close()
      close()
    },
  }
}

export interface RawOrigin extends Closable {
  readonly port: number
  readonly received: () => string
  readonly connections: () => number
  /** whole requests read */
  readonly requests: () => number
  /** what a strict reader refused */
  readonly dirty: readonly unknown[]
}

/**
 * Reads one request from the front of `text` as strictly as RFC 9112 allows and returns what is behind
 * it; undefined while it is incomplete. Throws on anything that two readers could read differently.
 */
export function strictRequest(text: string): { readonly head: string; readonly body: string; readonly rest: string } | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const head = text.slice(0, end + 4)
  const [line = '', ...fields] = head.slice(0, -4).split('\r\n')
  if (!/^[A-Z]+ \/[!-~]* HTTP\/1\.1$/.test(line)) throw new Error(`dirty request line: ${line}`)
  const named = fields.map((field) => {
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t\x20-\x7e\x80-\xff]*)$/.exec(field)
    if (match === null) throw new Error(`dirty field: ${field}`)
    return [(match[1] ?? '').toLowerCase(), match[2] ?? ''] as const
  })
  const values = (name: string): string[] => named.filter(([key]) => key === name).map(([, value]) => value)
  if (values('host').length !== 1) throw new Error('dirty: not one Host')
  const lengths = values('content-length')
  const codings = values('transfer-encoding')
  if (lengths.length + codings.length > 1) throw new Error('dirty: framed twice')
  const behind = text.slice(end + 4)
  if (codings.length === 1) {
    if (codings[0] !== 'chunked') throw new Error('dirty: a coding that is not chunked')
    return strictChunks(head, behind)
  }
  if (lengths.length === 1 && !/^\d+$/.test(lengths[0] ?? '')) throw new Error('dirty: a length that is no number')
  const length = Number(lengths[0] ?? 0)
  if (behind.length < length) return undefined
  return { head, body: behind.slice(0, length), rest: behind.slice(length) }
}

function strictChunks(head: string, text: string): { readonly head: string; readonly body: string; readonly rest: string } | undefined {
  let body = ''
  let at = 0
  for (;;) {
    const eol = text.indexOf('\r\n', at)
    if (eol < 0) return undefined
    const size = text.slice(at, eol)
    if (!/^[0-9a-f]{1,8}$/i.test(size)) throw new Error(`dirty chunk size: ${size}`)
    const bytes = Number.parseInt(size, 16)
    const end = eol + 2 + bytes
    if (text.length < end + 2) return undefined
    if (text.slice(end, end + 2) !== '\r\n') throw new Error('dirty: a chunk or trailer without its end')
    body += text.slice(eol + 2, end)
    at = end + 2
    if (bytes === 0) return { head, body, rest: text.slice(at) }
  }
}

/**
 * An origin that reads strictly, keeps every byte it received, and says `answer` verbatim when a whole
 * request is there; with `early`, as soon as its head is.
 */
export async function rawOrigin(
  answer: string | Buffer | ((socket: net.Socket, head: string, index: number) => void),
  when: 'complete' | 'early' = 'complete',
  serve: (accept: (socket: net.Socket) => void) => net.Server = (accept) => net.createServer({ allowHalfOpen: true }, accept),
): Promise<RawOrigin> {
  let received = ''
  let connections = 0
  let requests = 0
  const dirty: unknown[] = []
  const server = serve((socket) => {
    connections += 1
    let pending = ''
    const reply = (head: string): void => {
      requests += 1
      if (typeof answer === 'function') answer(socket, head, requests - 1)
      else socket.write(answer)
    }
    socket.on('end', () => socket.end())
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      pending += chunk.toString('latin1')
      if (when === 'early') {
        if (pending.includes('\r\n\r\n')) reply(pending)
        pending = ''
        return
      }
      try {
        for (let read = strictRequest(pending); read !== undefined; read = strictRequest(pending)) {
          pending = read.rest
          reply(read.head)
        }
      } catch (error) {
        dirty.push(error)
        socket.destroy()
      }
    })
  })
  const { port, close } = await listen(server)
  return { port, close, received: () => received, connections: () => connections, requests: () => requests, dirty }
}

/** One raw request on a connection of its own; the whole answer as text. */
export async function exchange(port: number, request: string): Promise<string> {
  const socket = await connectTo(port)
  socket.write(request, 'latin1')
  const answer = await readAll(socket)
  socket.destroy()
  return answer.toString('latin1')
}
