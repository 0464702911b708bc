// Builds the events of the web cache: what was read from it, what it did not hold, and what was put into it by whom.
// Pure but for the texts it remembers. What they say of a URL is what the decision of the same request may say.
import type { CacheSource } from './cache-source.ts'
import type { AttributeValue, AuditEvent } from './event.ts'
import { subjectStart } from './event-subject.ts'
import { cappedJson, inOnePiece, isPlain, jsonNumber, jsonText } from './json-text.ts'
import { hostLabel, labelText, maxHost, maxLabel, optionalLabel } from './label-text.ts'
import { personalEvent } from './personal.ts'
import { eventEnd, eventStart, PreparedEvent, shownBody } from './prepared-event.ts'
import { redactUrl, type Redaction } from './redaction.ts'
import { placeOf, Slots } from './slots.ts'

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
  /** of the session: the path is theirs */
  readonly owner: string | undefined
  readonly place: CachedPlace
}

export interface CacheHit {
  readonly ageS: number
  readonly source: CacheSource | 'parent'
  /** of the answer */
  readonly status: number
  readonly bytes: number
}

/** Answered from the cache; nothing was asked of anybody. */
export function cacheHitEvent(reader: CacheReader, { ageS, source, status, bytes }: CacheHit, redaction: Redaction): AuditEvent {
  const { body: said, isPlainStart, asked, place, answer } = recall(reader, source, redaction)
  const { body, json: bodyJson } = shownBody(`${said}${bytes} bytes, ${ageS} s old`, isPlainStart)
  const start = eventStart(bodyJson) + subjectStart
  const front = cappedJson(reader.requestId, maxLabel) + asked
  const back = `${answer}${jsonNumber(ageS)},"http.response.status_code":${jsonNumber(status)},"http.response.body.size":${jsonNumber(bytes)}${eventEnd}`
  const { owner } = reader
  const json = place === '' ? start + front + back
    : owner === undefined ? `${start}${front},${place}${back}`
      : { start, sealedStart: start, front, back, parts: [{ person: owner, bound: 'own' as const, context: labelText(reader.requestId), json: place }] }
  return new PreparedEvent({ name: 'sallyport.cache.hit', severity: 'INFO', body, json, session: undefined })
}

/** What the hits of one reader on one page have in common. */
interface HitTexts {
  /** up to the amount, not escaped */
  readonly body: string
  readonly isPlainStart: boolean
  /** from the end of the request id to the port */
  readonly asked: string
  /** path and query, as members */
  readonly place: string
  /** from the source to the start of the age */
  readonly answer: string
}

interface KnownHit extends HitTexts {
  readonly reader: CacheReader
  readonly source: CacheHit['source']
  readonly redaction: Redaction
  readonly isInOnePiece: boolean
}

const knownHits = new Slots<KnownHit>()

function recall(reader: CacheReader, source: CacheHit['source'], redaction: Redaction): HitTexts {
  const at = placeOf(reader.place.path, reader.place.port)
  const known = knownHits.get(at)
  const isSame = known !== undefined && known.source === source && known.redaction === redaction && isSameReader(known.reader, reader)
  if (isSame && known.isInOnePiece) return known
  const texts = describeHit(reader, source, redaction)
  const kept = isSame ? { ...texts, asked: inOnePiece(texts.asked), place: inOnePiece(texts.place), answer: inOnePiece(texts.answer) } : texts
  const made = { ...kept, reader, source, redaction, isInOnePiece: isSame }
  knownHits.put(at, made)
  return made
}

function isSameReader(a: CacheReader, b: CacheReader): boolean {
  const { scheme, host, port, path, query } = a.place
  return a.session === b.session && a.agent === b.agent && a.owner === b.owner
    && scheme === b.place.scheme && host === b.place.host && port === b.place.port && path === b.place.path && query === b.place.query
}

function describeHit({ session, agent, place: { scheme, host, port, path, query } }: CacheReader, source: CacheHit['source'], redaction: Redaction): HitTexts {
  const shown = redactUrl(path, query, redaction)
  const body = `${hostLabel(host)}:${port} answered from the cache: `
  const asked = `","session.id":"${cappedJson(session, maxLabel)}","gen_ai.agent.name":"${cappedJson(agent, maxLabel)}"`
    + `,"url.scheme":"${scheme}","server.address":"${cappedJson(host, maxHost)}","server.port":${jsonNumber(port)}`
  const members = [shown.path === undefined ? [] : `"url.path":"${jsonText(shown.path)}"`, shown.query === undefined ? [] : `"url.query":"${jsonText(shown.query)}"`].flat()
  return { body, isPlainStart: isPlain(body), asked, place: members.join(','), answer: `,"sallyport.cache.source":"${source}","sallyport.cache.age_s":` }
}

/** `detail`: as in Cache-Status (RFC 9211). */
export function cacheMissedEvent(reader: CacheReader, detail: string, redaction: Redaction): AuditEvent {
  return personalEvent({
    name: 'sallyport.cache.missed',
    severity: 'WARN',
    attributes: { ...readerAttributes(reader, redaction), 'sallyport.cache.detail': detail },
  }, () => `${hostLabel(reader.place.host)}:${reader.place.port} is not answered from the cache: ${detail}`, [{ person: reader.owner, attributes: ['url.path', 'url.query'] }])
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
  return personalEvent({
    name: 'sallyport.cache.filled',
    severity: 'INFO',
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
  }, (say) => `${say('sallyport.actor.name', labelText(by))} put a page of ${hostLabel(place.host)}:${place.port} into the cache: ${bytes} bytes, ${source}`, [{ person: by, attributes: ['sallyport.actor.name', 'url.path', 'url.query'] }])
}

function readerAttributes({ requestId, session, agent, place }: CacheReader, redaction: Redaction): Readonly<Record<string, AttributeValue | undefined>> {
  return { 'sallyport.request.id': labelText(requestId), 'session.id': labelText(session), 'gen_ai.agent.name': labelText(agent), ...placeAttributes(place, redaction) }
}

function placeAttributes({ scheme, host, port, path, query }: CachedPlace, redaction: Redaction): Readonly<Record<string, AttributeValue | undefined>> {
  const shown = redactUrl(path, query, redaction)
  return { 'url.scheme': scheme, 'server.address': hostLabel(host), 'server.port': port, 'url.path': shown.path, 'url.query': shown.query }
}
