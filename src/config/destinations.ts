// Every destination of records, the one of `[otel]` first.
import { describeDestination, otelName, type Destination } from '../audit/destination.ts'
import type { Environment } from './environment.ts'
import { expandFields } from './load-destinations.ts'
import type { Settings } from './settings.ts'

export function destinationsOf({ otel, audit }: Settings): readonly Destination[] {
  return [...(otel.exporter === undefined ? [] : [{ ...otel.exporter, name: otelName, type: 'otlp-http' as const, filter: {} }]), ...audit.destinations]
}

/** One line for each, as events say them. */
export function destinationLines(settings: Settings): readonly string[] {
  return destinationsOf(settings).map(describeDestination)
}

/** A destination of an earlier start, with what its fields name in the environment of today; what is not set there is empty. */
export function revived(destination: Destination, env: Environment): Destination {
  return destination.type === 'otlp-http' ? { ...destination, headers: expandFields(destination.headersWritten, env, () => undefined) } : destination
}
