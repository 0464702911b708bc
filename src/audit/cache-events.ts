// Builds the events of the web cache: what was read from it, what it did not hold, and what was put into it by whom.
// Pure. What they say of a URL is what the decision of the same request may say.
import type { CacheSource } from './cache-source.ts'
import { escapeText } from './escape.ts'
import type { AttributeValue, AuditEvent } from './event.ts'
import { hostLabel, labelText, optionalLabel } from './label-text.ts'
import { redactUrl, type Redaction } from './redaction.ts'

export interface CachedPlace {
  readonly scheme: 'http' | 'https'
  readonly host: string
  readonly port: number
  readonly path: string
  readonly query: string | undefined
}

export interface CacheReader {
  /** the exchange's */
  readonly requestId: string
  readonly session: string
  readonly agent: string
  readonly place: CachedPlace
}

/** Answered from the cache; nothing was asked of anybody. */
export function cacheHitEvent(reader: CacheReader, hit: { readonly ageS: number; readonly source: CacheSource | 'parent'; readonly status: number; readonly bytes: number }, redaction: Redaction): AuditEvent {
  return {
    name: 'sallyport.cache.hit',
    severity: 'INFO',
    body: escapeText(`${hostLabel(reader.place.host)}:${reader.place.port} answered from the cache: ${hit.bytes} bytes, ${hit.ageS} s old`),
    attributes: {
      ...readerAttributes(reader, redaction),
      'sallyport.cache.source': hit.source,
      'sallyport.cache.age_s': hit.ageS,
      'http.response.status_code': hit.status,
      'http.response.body.size': hit.bytes,
    },
  }
}

/** `detail`: as in Cache-Status (RFC 9211). */
export function cacheMissedEvent(reader: CacheReader, detail: string, redaction: Redaction): AuditEvent {
  return {
    name: 'sallyport.cache.missed',
    severity: 'WARN',
    body: escapeText(`${hostLabel(reader.place.host)}:${reader.place.port} is not answered from the cache: ${detail}`),
    attributes: { ...readerAttributes(reader, redaction), 'sallyport.cache.detail': detail },
  }
}

export interface Filled {
  readonly place: CachedPlace
  readonly source: CacheSource
  /** reviewer or admin */
  readonly by: string
  readonly partition: string
  readonly status: number
  readonly bytes: number
  /** SHA-256 of the content, hexadecimal; undefined: there is none */
  readonly digest: string | undefined
  /** of the fetch; undefined: it came from a file */
  readonly requestId: string | undefined
  readonly approvalId: string | undefined
}

/** From now on agents read it. */
export function cacheFilledEvent(filled: Filled, redaction: Redaction): AuditEvent {
  const { place, source, by, partition, status, bytes, digest, requestId, approvalId } = filled
  return {
    name: 'sallyport.cache.filled',
    severity: 'INFO',
    body: escapeText(`${labelText(by)} put a page of ${hostLabel(place.host)}:${place.port} into the cache: ${bytes} bytes, ${source}`),
    attributes: {
      'sallyport.request.id': optionalLabel(requestId),
      'sallyport.approval.id': optionalLabel(approvalId),
      'sallyport.actor.name': labelText(by),
      ...placeAttributes(place, redaction),
      'sallyport.cache.source': source,
      'sallyport.cache.partition': labelText(partition),
      'sallyport.cache.digest': digest,
      'http.response.status_code': status,
      'http.response.body.size': bytes,
    },
  }
}

function readerAttributes({ requestId, session, agent, place }: CacheReader, redaction: Redaction): Readonly<Record<string, AttributeValue | undefined>> {
  return { 'sallyport.request.id': labelText(requestId), 'session.id': labelText(session), 'gen_ai.agent.name': labelText(agent), ...placeAttributes(place, redaction) }
}

function placeAttributes({ scheme, host, port, path, query }: CachedPlace, redaction: Redaction): Readonly<Record<string, AttributeValue | undefined>> {
  const shown = redactUrl(path, query, redaction)
  return { 'url.scheme': scheme, 'server.address': hostLabel(host), 'server.port': port, 'url.path': shown.path, 'url.query': shown.query }
}
