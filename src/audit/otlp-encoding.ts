// Journal records as OTLP log records: the mapping, the bytes, and what a collector answers. The names
// are a contract (docs/events.md). Nothing is added that the journal does not hold, nothing left out.
import type { Attributes } from '@opentelemetry/api'
import { SeverityNumber } from '@opentelemetry/api'
import { JsonLogsSerializer, ProtobufLogsSerializer } from '@opentelemetry/otlp-transformer'
import type { ReadableLogRecord } from '@opentelemetry/sdk-logs'
import type { AttributeValue, Severity } from './event.ts'
import type { JournalRecord } from './record.ts'
import type { PartialSuccess } from './sink.ts'

export interface OtlpResource {
  /** `service.version` */
  readonly version: string
  /** `deployment.environment.name` */
  readonly environment: string
}

export interface OtlpEncoding {
  readonly contentType: string
  encode(records: readonly JournalRecord[]): Uint8Array
  /** `partialSuccess` of an answer; rejected 0 when there is none */
  decode(body: Uint8Array, contentType: string): PartialSuccess
}

const severityNumbers: Record<Severity, SeverityNumber> = {
  INFO: SeverityNumber.INFO,
  INFO2: SeverityNumber.INFO2,
  WARN: SeverityNumber.WARN,
  ERROR: SeverityNumber.ERROR,
}

/** `binary` is protobuf, as Codex's settings call it. */
export function createEncoding(protocol: 'binary' | 'json', resource: OtlpResource): OtlpEncoding {
  const scope = { name: 'sallyport', version: resource.version }
  const resources = new Map<string, ReadableLogRecord['resource']>()
  // the serialisers group by identity, so each instance that wrote records has one resource object
  const resourceOf = (instance: string) => {
    const known = resources.get(instance) ?? createResource(resource, instance)
    resources.set(instance, known)
    return known
  }
  const serializer = protocol === 'binary' ? ProtobufLogsSerializer : JsonLogsSerializer
  return {
    contentType: protocol === 'binary' ? 'application/x-protobuf' : 'application/json',
    encode: (records) => {
      const bytes = serializer.serializeRequest(records.map((record) => toLogRecord(record, resourceOf(record.instance), scope)))
      if (bytes === undefined) throw new Error('the records could not be encoded')
      return bytes
    },
    decode: (body, contentType) => {
      if (body.length === 0) return { rejected: 0, message: '' }
      const isJson = contentType === '' ? protocol === 'json' : contentType.includes('json')
      const { partialSuccess } = (isJson ? JsonLogsSerializer : ProtobufLogsSerializer).deserializeResponse(body)
      const rejected: unknown = partialSuccess?.rejectedLogRecords
      // int64 is a string in the JSON mapping of protobuf, whatever the type says
      return { rejected: Number(rejected ?? 0) || 0, message: partialSuccess?.errorMessage ?? '' }
    },
  }
}

/** One record in the shape the OpenTelemetry serialisers take. */
export function toLogRecord(record: JournalRecord, resource: ReadableLogRecord['resource'], scope: ReadableLogRecord['instrumentationScope']): ReadableLogRecord {
  const ms = Date.parse(record.time)
  const seconds = Math.floor(ms / 1000)
  const hrTime: [number, number] = [seconds, (ms - seconds * 1000) * 1_000_000]
  const attributes: Attributes = {
    'event.name': record.name,
    'log.record.uid': record.uid,
    'service.instance.id': record.instance,
    'sallyport.seq': record.seq,
    'sallyport.prev_hash': record.prev,
    'sallyport.hash': record.hash,
  }
  for (const [name, value] of Object.entries(record.attributes)) {
    // JSON has no word for a number that is not finite
    if (value !== null) attributes[name] = wellFormed(value)
  }
  return {
    hrTime,
    hrTimeObserved: hrTime,
    severityNumber: severityNumbers[record.severity],
    severityText: record.severity,
    body: record.body,
    eventName: record.name,
    resource,
    instrumentationScope: scope,
    attributes,
    droppedAttributesCount: 0,
  }
}

// protobuf strings are UTF-8, which has no unpaired surrogates
function wellFormed(value: AttributeValue): string | number | boolean | string[] {
  if (typeof value === 'string') return value.toWellFormed()
  return typeof value === 'object' ? value.map((item) => item.toWellFormed()) : value
}

function createResource({ version, environment }: OtlpResource, instance: string): ReadableLogRecord['resource'] {
  const resource: ReadableLogRecord['resource'] = {
    attributes: {
      'service.name': 'sallyport',
      'service.version': version,
      'service.instance.id': instance,
      'deployment.environment.name': environment,
    },
    merge: () => resource,
    getRawAttributes: () => Object.entries(resource.attributes),
  }
  return resource
}
