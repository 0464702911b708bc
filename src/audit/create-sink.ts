// The sink of each kind of destination, in one place.
import { hostname } from 'node:os'
import type { Destination } from './destination.ts'
import { createFileSink } from './file-sink.ts'
import { formatter } from './formats/formatter.ts'
import type { OtlpResource } from './otlp-encoding.ts'
import { createOtlpSink } from './otlp-sink.ts'
import type { Sink } from './sink.ts'
import { createSyslogSink } from './syslog-sink.ts'

/** nobody there has to think before an answer */
const maxSyslogMs = 10_000

export function createSink(destination: Destination, resource: OtlpResource, timeoutMs: number): Sink {
  if (destination.type === 'otlp-http') return createOtlpSink(destination, resource, timeoutMs)
  const host = hostname()
  const line = formatter(destination.format, { ...resource, hostname: host })
  if (destination.type === 'file') return createFileSink(destination.path, line)
  return createSyslogSink({ destination, hostname: host, line, timeoutMs: Math.min(timeoutMs, maxSyslogMs) })
}
