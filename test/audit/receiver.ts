// An OTLP/HTTP receiver that misbehaves as told, and decodes what it accepts without our own encoder.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { gunzipSync } from 'node:zlib'
import type { Test } from 'tap'

export interface ReceivedRecord {
  readonly eventName: string
  readonly severityNumber: number
  readonly body: string
  readonly timeMs: number
  readonly attributes: Readonly<Record<string, unknown>>
  readonly resource: Readonly<Record<string, unknown>>
}

export interface Post {
  readonly number: number
  readonly records: readonly ReceivedRecord[]
  readonly headers: IncomingMessage['headers']
  readonly url: string | undefined
}

export type Answer =
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string | Uint8Array }
  | 'hang'
  /** the head of an answer, and nothing more of it */
  | 'slow'
  | 'reset'

export interface Receiver {
  readonly endpoint: string
  /** every post, accepted or not */
  readonly posts: Post[]
  /** records of posts that were answered with 200 */
  readonly accepted: ReceivedRecord[]
  answer: (post: Post) => Answer
}

export const ok: Answer = { status: 200, headers: { 'content-type': 'application/json' }, body: '{}' }

export async function startReceiver(t: Test): Promise<Receiver> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => respond(request, response, Buffer.concat(chunks)))
  })
  const respond = (request: IncomingMessage, response: ServerResponse, raw: Buffer): void => {
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw
    const records = request.headers['content-type'] === 'application/json' ? decodeJson(body) : decodeProtobuf(body)
    const post = { number: receiver.posts.length, records, headers: request.headers, url: request.url }
    receiver.posts.push(post)
    const answer = receiver.answer(post)
    if (answer === 'hang') return
    if (answer === 'slow') return void response.writeHead(200, { 'content-length': 2 }).write('{')
    if (answer === 'reset') {
      request.socket.resetAndDestroy()
      return
    }
    if (answer.status === 200) receiver.accepted.push(...records)
    response.writeHead(answer.status, answer.headers)
    response.end(answer.body)
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no address')
  const receiver: Receiver = { endpoint: `http://127.0.0.1:${address.port}/v1/logs`, posts: [], accepted: [], answer: () => ok }
  return receiver
}

// the few protobuf messages of opentelemetry/proto/logs/v1, read by field number

type Field = { readonly number: number; readonly value: Buffer | bigint }

function fieldsOf(data: Buffer): Field[] {
  const fields: Field[] = []
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = data.readUInt8(at++)
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  while (at < data.length) {
    const tag = varint()
    const number = Number(tag >> 3n)
    const wire = Number(tag & 7n)
    if (wire === 0) fields.push({ number, value: varint() })
    else if (wire === 1) fields.push({ number, value: data.readBigUInt64LE((at += 8) - 8) })
    else if (wire === 5) fields.push({ number, value: BigInt(data.readUInt32LE((at += 4) - 4)) })
    else if (wire === 2) {
      const length = Number(varint())
      if (at + length > data.length) throw new Error('truncated field')
      fields.push({ number, value: data.subarray(at, (at += length)) })
    } else throw new Error(`wire type ${wire}`)
  }
  return fields
}

const bytes = (fields: readonly Field[], number: number): Buffer[] => fields.flatMap((field) => (field.number === number && Buffer.isBuffer(field.value) ? [field.value] : []))
const first = (fields: readonly Field[], number: number): Buffer | bigint | undefined => fields.find((field) => field.number === number)?.value
const text = (value: Buffer | bigint | undefined): string => (Buffer.isBuffer(value) ? value.toString('utf8') : '')

const milliseconds = (nanos: Buffer | bigint | undefined): number => (typeof nanos === 'bigint' ? Number(nanos / 1_000_000n) : 0)

function anyValue(data: Buffer): unknown {
  const [field] = fieldsOf(data)
  if (field === undefined) return undefined
  const { number, value } = field
  if (number === 1) return text(value)
  if (number === 2) return value === 1n
  if (number === 3) return Number(value)
  if (number === 4 && typeof value === 'bigint') {
    const buffer = Buffer.alloc(8)
    buffer.writeBigUInt64LE(value)
    return buffer.readDoubleLE()
  }
  if (number === 5 && Buffer.isBuffer(value)) return bytes(fieldsOf(value), 1).map(anyValue)
  throw new Error(`value of kind ${number}`)
}

function keyValues(list: readonly Buffer[]): Record<string, unknown> {
  return Object.fromEntries(
    list.map((item) => {
      const fields = fieldsOf(item)
      const [value] = bytes(fields, 2)
      return [text(first(fields, 1)), value === undefined ? undefined : anyValue(value)]
    }),
  )
}

function decodeProtobuf(body: Buffer): ReceivedRecord[] {
  return bytes(fieldsOf(body), 1).flatMap((resourceLogs) => {
    const fields = fieldsOf(resourceLogs)
    const [resourceBytes = Buffer.alloc(0)] = bytes(fields, 1)
    const resource = keyValues(bytes(fieldsOf(resourceBytes), 1))
    return bytes(fields, 2).flatMap((scopeLogs) =>
      bytes(fieldsOf(scopeLogs), 2).map((record) => {
        const log = fieldsOf(record)
        const [bodyBytes] = bytes(log, 5)
        return {
          eventName: text(first(log, 12)),
          severityNumber: Number(first(log, 2) ?? 0),
          body: String(bodyBytes === undefined ? '' : anyValue(bodyBytes)),
          timeMs: milliseconds(first(log, 1)),
          attributes: keyValues(bytes(log, 6)),
          resource,
        }
      }),
    )
  })
}

interface JsonValue {
  readonly stringValue?: string
  readonly intValue?: number | string
  readonly doubleValue?: number
  readonly boolValue?: boolean
  readonly arrayValue?: { readonly values: readonly JsonValue[] }
}
type JsonAttributes = readonly { readonly key: string; readonly value: JsonValue }[]
interface JsonRequest {
  readonly resourceLogs: readonly {
    readonly resource: { readonly attributes: JsonAttributes }
    readonly scopeLogs: readonly {
      readonly logRecords: readonly { readonly timeUnixNano: string; readonly severityNumber: number; readonly body: JsonValue; readonly eventName: string; readonly attributes: JsonAttributes }[]
    }[]
  }[]
}

function decodeJson(body: Buffer): ReceivedRecord[] {
  const request: JsonRequest = JSON.parse(body.toString('utf8'))
  return request.resourceLogs.flatMap(({ resource, scopeLogs }) =>
    scopeLogs.flatMap(({ logRecords }) =>
      logRecords.map((log) => ({
        eventName: log.eventName,
        severityNumber: log.severityNumber,
        body: String(fromJson(log.body)),
        timeMs: Number(BigInt(log.timeUnixNano) / 1_000_000n),
        attributes: jsonAttributes(log.attributes),
        resource: jsonAttributes(resource.attributes),
      })),
    ),
  )
}

function jsonAttributes(attributes: JsonAttributes): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, fromJson(value)]))
}

function fromJson(value: JsonValue): unknown {
  if (value.arrayValue !== undefined) return value.arrayValue.values.map(fromJson)
  if (value.intValue !== undefined) return Number(value.intValue)
  return value.stringValue ?? value.boolValue ?? value.doubleValue
}
