// A collector as a destination: records in OTLP over HTTP, and what each of its answers means for them.
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { OtlpDestination } from './destination.ts'
import { createEncoding, type OtlpEncoding, type OtlpResource } from './otlp-encoding.ts'
import { createSender, type SendOutcome } from './otlp-sender.ts'
import type { Sink, SinkOutcome } from './sink.ts'

const compress = promisify(gzip)

export function createOtlpSink(destination: OtlpDestination, resource: OtlpResource, timeoutMs: number): Sink {
  const encoding = createEncoding(destination.protocol, resource)
  const isGzip = destination.compression === 'gzip'
  const sender = createSender({ ...destination, contentType: encoding.contentType, contentEncoding: isGzip ? 'gzip' : undefined, timeoutMs })
  return {
    encode: async (records) => {
      const bytes = encoding.encode(records)
      return isGzip ? compress(bytes) : bytes
    },
    send: async (body) => judge(await sender.send(body), encoding),
    close: () => sender.close(),
  }
}

function judge(outcome: SendOutcome, encoding: OtlpEncoding): SinkOutcome {
  if (outcome.kind === 'broken') return { fate: outcome.wasReached ? 'fault' : 'again', detail: outcome.reason, isBroken: true }
  const fate = fateOf(outcome.status)
  if (fate !== 'accepted') return { fate, detail: `status ${outcome.status}`, words: wordsOf(outcome), retryAfterMs: outcome.retryAfterMs }
  try {
    const partial = encoding.decode(outcome.body, outcome.contentType)
    return partial.rejected > 0 ? { fate, partial } : { fate }
  } catch (error) {
    return { fate, note: `the collector accepted records with an answer that cannot be read: ${String(error)}` }
  }
}

/** `again`: the collector or the way to it is at fault; `refused`: these records are; `fault`: unclear. */
function fateOf(status: number): 'accepted' | 'again' | 'refused' | 'fault' {
  if (status >= 200 && status < 300) return 'accepted'
  // wrong credentials, address or media type: a setting to mend, no reason to give events up
  if (status < 400 || [401, 403, 404, 405, 407, 408, 415, 421, 425, 426, 429, 502, 503, 504].includes(status)) return 'again'
  return status < 500 ? 'refused' : 'fault'
}

function wordsOf({ body }: Extract<SendOutcome, { kind: 'answered' }>): string | undefined {
  const text = Buffer.from(body).toString('latin1').replace(/[^\x20-\x7e]+/g, ' ').trim().slice(0, 200)
  return text === '' ? undefined : text
}
