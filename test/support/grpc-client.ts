// A gRPC client as a program of its own, which finds the proxy and the roots by its environment as any other does:
// `node grpc-client.ts HOST:PORT`. It calls every method of the echo service and prints what came of each, as JSON.
import { once } from 'node:events'
import * as grpc from '@grpc/grpc-js'
import { echoService } from './grpc-echo.ts'

const [target = ''] = process.argv.slice(2)
const limits = { 'grpc.max_receive_message_length': 64 * 1024 * 1024, 'grpc.max_send_message_length': 64 * 1024 * 1024 }
const Client = grpc.makeGenericClientConstructor(echoService, 'Echo')
const client = new Client(target, grpc.credentials.createSsl(), limits)

interface Told {
  readonly code: number
  readonly details: string
  readonly metadata: grpc.Metadata
}

function told({ code, details, metadata }: Told): object {
  return { code, details, metadata: metadata.getMap() }
}

function say(what: string, value: object): void {
  process.stdout.write(`${JSON.stringify({ what, ...value })}\n`)
}

async function unary(name: 'unary' | 'fail' | 'hang', message: Buffer, options: grpc.CallOptions = {}): Promise<object> {
  const metadata = new grpc.Metadata()
  metadata.set('client-says', 'hello')
  const { path, requestSerialize, responseDeserialize } = echoService[name]
  return new Promise((resolve) => {
    let answer: Buffer | undefined
    let head = {}
    let status: Told | undefined
    const finish = (): void => {
      if (status !== undefined) resolve({ ...told(status), head, bytes: answer?.length, isSame: answer?.equals(message) })
    }
    const call = client.makeUnaryRequest<Buffer, Buffer>(path, requestSerialize, responseDeserialize, message, metadata, options, (_error, value) => {
      answer = value
      setImmediate(finish)
    })
    call.on('metadata', (given) => (head = given.getMap()))
    call.on('status', (given) => (status = given))
  })
}

/** Takes the call back once the server has it. */
async function takenBack(): Promise<object> {
  const { path, requestSerialize, responseDeserialize } = echoService.hang
  return new Promise((resolve) => {
    const call = client.makeUnaryRequest<Buffer, Buffer>(path, requestSerialize, responseDeserialize, Buffer.alloc(1), ignoreToldByStatus)
    call.on('metadata', () => call.cancel())
    call.on('status', (status) => resolve(told(status)))
  })
}

function ignoreToldByStatus(): void {
  // the status says it too
}

function statusOf(call: grpc.ClientReadableStream<Buffer> | grpc.ClientDuplexStream<Buffer, Buffer>): Promise<Told> {
  return new Promise((resolve) => call.on('status', resolve))
}

async function serverStream(to: number, size: number): Promise<object> {
  const { path, requestSerialize, responseDeserialize } = echoService.count
  const call = client.makeServerStreamRequest<Buffer, Buffer>(path, requestSerialize, responseDeserialize, Buffer.from(`${to} ${size}`))
  let messages = 0
  let bytes = 0
  call.on('data', (message: Buffer) => {
    messages += 1
    bytes += message.length
  })
  call.on('error', ignoreToldByStatus)
  const status = await statusOf(call)
  return { ...told(status), messages, bytes }
}

async function clientStream(count: number, size: number): Promise<object> {
  const { path, requestSerialize, responseDeserialize } = echoService.sum
  return new Promise((resolve) => {
    const call = client.makeClientStreamRequest<Buffer, Buffer>(path, requestSerialize, responseDeserialize, (error, value) => {
      resolve({ code: error?.code ?? 0, total: value?.toString() })
    })
    void (async () => {
      for (let at = 0; at < count; at++) if (!call.write(Buffer.alloc(size))) await once(call, 'drain')
      call.end()
    })()
  })
}

/** Each message is sent when the last one has come back: nothing on the way may hold one. */
async function talk(count: number): Promise<object> {
  const { path, requestSerialize, responseDeserialize } = echoService.talk
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(path, requestSerialize, responseDeserialize)
  call.on('error', ignoreToldByStatus)
  let back = 0
  const status = statusOf(call)
  for (let at = 0; at < count; at++) {
    call.write(Buffer.from(`${at}`))
    const message = await Promise.race([once(call, 'data').then(([data]) => data as Buffer), status.then(() => undefined)])
    if (message === undefined) break
    if (String(message) === String(at)) back += 1
  }
  call.end()
  return { ...told(await status), back }
}

say('unary', await unary('unary', Buffer.from('hello')))
say('empty', await unary('unary', Buffer.alloc(0)))
say('large', await unary('unary', Buffer.alloc(8 * 1024 * 1024, 'sallyport')))
for (const code of [3, 5, 7, 14, 16]) say(`fail ${code}`, await unary('fail', Buffer.from(String(code))))
say('deadline', await unary('hang', Buffer.alloc(1), { deadline: Date.now() + 500 }))
say('taken back', await takenBack())
say('server stream', await serverStream(1000, 5000))
say('client stream', await clientStream(1000, 5000))
say('bidi', await talk(200))
say('beside each other', { codes: (await Promise.all(Array.from({ length: 50 }, () => unary('unary', Buffer.alloc(1000))))).map((each) => Reflect.get(each, 'code')) })
client.close()
