// A gRPC service without a schema, its messages plain bytes: one method of each kind, and what each does is in its name.
import { once } from 'node:events'
import * as grpc from '@grpc/grpc-js'

const bytes = {
  requestSerialize: (value: Buffer): Buffer => value,
  requestDeserialize: (value: Buffer): Buffer => value,
  responseSerialize: (value: Buffer): Buffer => value,
  responseDeserialize: (value: Buffer): Buffer => value,
}

function method(name: string, requestStream: boolean, responseStream: boolean): grpc.MethodDefinition<Buffer, Buffer> {
  return { path: `/echo.Echo/${name}`, requestStream, responseStream, ...bytes }
}

export const echoService = {
  unary: method('Unary', false, false),
  fail: method('Fail', false, false),
  hang: method('Hang', false, false),
  count: method('Count', false, true),
  sum: method('Sum', true, false),
  talk: method('Talk', true, true),
} as const

const failures = [grpc.status.INVALID_ARGUMENT, grpc.status.NOT_FOUND, grpc.status.PERMISSION_DENIED, grpc.status.UNAVAILABLE, grpc.status.UNAUTHENTICATED]

export interface EchoServer {
  readonly port: number
  /** calls without a deadline that hang and that their client took back */
  readonly cancelled: () => number
  stop(): void
}

const limits = { 'grpc.max_receive_message_length': 64 * 1024 * 1024, 'grpc.max_send_message_length': 64 * 1024 * 1024 }

/** Serves on loopback with this certificate. */
export async function startEchoServer({ cert, key }: { readonly cert: string; readonly key: string }): Promise<EchoServer> {
  const server = new grpc.Server(limits)
  let cancelled = 0
  server.addService(echoService, {
    unary: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      const trailers = new grpc.Metadata()
      trailers.set('echo-trailer', 'behind')
      trailers.set('echo-bin', Buffer.from([0, 1, 255]))
      const head = new grpc.Metadata()
      head.set('echo-head', String(call.metadata.get('client-says')[0] ?? 'nothing'))
      call.sendMetadata(head)
      done(null, call.request, trailers)
    },
    fail: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      const metadata = new grpc.Metadata()
      metadata.set('echo-trailer', 'of an error')
      done({ code: failures.find((code) => String(code) === call.request.toString()) ?? grpc.status.UNKNOWN, details: 'not today: grüße', metadata })
    },
    hang: (call: grpc.ServerUnaryCall<Buffer, Buffer>) => {
      // a deadline ends the call at both ends at once, and is not counted: who is first is chance
      if (call.getDeadline() === Infinity) call.on('cancelled', () => (cancelled += 1))
      call.sendMetadata(new grpc.Metadata())
    },
    count: async (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
      const [to = 0, size = 0] = call.request.toString().split(' ').map(Number)
      for (let at = 0; at < to; at++) if (!call.write(Buffer.alloc(size, `${at} `))) await once(call, 'drain')
      const trailers = new grpc.Metadata()
      trailers.set('counted', String(to))
      call.end(trailers)
    },
    sum: (call: grpc.ServerReadableStream<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      let total = 0
      call.on('data', (message: Buffer) => (total += message.length))
      call.on('end', () => done(null, Buffer.from(String(total))))
    },
    talk: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', (message: Buffer) => call.write(message))
      call.on('end', () => call.end())
    },
  })
  const credentials = grpc.ServerCredentials.createSsl(null, [{ private_key: Buffer.from(key), cert_chain: Buffer.from(cert) }])
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)))
  })
  return { port, cancelled: () => cancelled, stop: () => server.forceShutdown() }
}
