// Settings of a collector, as they are when nothing else is said.
import type { OtlpDestination } from '../../src/audit/destination.ts'
import type { OtlpSettings } from '../../src/config/settings.ts'

export function collectorAt(endpoint: string, protocol: 'binary' | 'json' = 'json'): OtlpSettings {
  return { endpoint, protocol, headers: {}, headersWritten: {}, compression: 'gzip', tls: {} }
}

export function otlpTo(name: string, endpoint: string, more: Partial<OtlpDestination> = {}): OtlpDestination {
  return { ...collectorAt(endpoint, 'binary'), name, type: 'otlp-http', filter: {}, ...more }
}
