// docs/siem: every event, attribute, field and code that its pages and queries name is one that there is, so that a
// rename fails here and not in somebody's detection.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { eventNames, type EventName } from '../../src/audit/event.ts'
import { formatter } from '../../src/audit/formats/formatter.ts'
import { createEncoding } from '../../src/audit/otlp-encoding.ts'
import type { JournalRecord } from '../../src/audit/record.ts'
import { reviewFaults } from '../../src/approvals/review-fault.ts'
import { controlFaults } from '../../src/control/problem.ts'
import { errorTable } from '../../src/errors.ts'
import { attributesOf, exampleOf, fullestOf, namesIn, someValue } from '../support/events-page.ts'
import { ocsfSchema } from '../support/ocsf-schema.ts'

const read = (name: string): string => readFileSync(join(import.meta.dirname, '../../docs/siem', name), 'utf8')
const pages = { splunk: read('splunk.md'), elastic: read('elastic.md'), datadog: read('datadog.md'), formats: read('formats.md') }

const context = { version: '1', environment: 'e', hostname: 'h' }
/** Records with everything in them, in several shapes. */
const records: readonly JournalRecord[] = eventNames.flatMap((name) => [exampleOf(name), fullestOf(name, someValue), { ...fullestOf(name, someValue), attributes: { ...exampleOf(name).attributes, 'client.address': '2001:db8::1', 'network.peer.address': '2001:db8::2' } }])

const attributes = new Set(eventNames.flatMap((name) => attributesOf(name).map((attribute) => attribute.name)))
// the heartbeat is the destinations' own event
const events: ReadonlySet<string> = new Set([...eventNames, 'sallyport.audit.heartbeat'])
const overOtlp = new Set([...attributes, ...namesIn('Over OTLP')])
const inEcs = new Set(records.flatMap((record) => paths(JSON.parse(formatter('ecs', context)(record)))))
const inCef = new Set(records.flatMap((record) => [...formatter('cef', context)(record).matchAll(/(?<=[| ])(\w+)=/g)].map(([, key = '']) => key)))
const codes: ReadonlySet<string> = new Set([...Object.keys(errorTable), ...Object.keys(controlFaults), ...Object.keys(reviewFaults)])

/** Fenced blocks of a language. */
function blocks(page: string, ...languages: string[]): string[] {
  return [...page.matchAll(/^```(\w+)\n([\s\S]*?)^```/gm)].filter(([, language = '']) => languages.includes(language)).map(([, , text = '']) => text)
}

/** Names with dots in them, without what a query language puts in front. */
function dotted(text: string): string[] {
  return [...text.matchAll(/(?<![\w./"-])@?([a-z][a-z_0-9]*(?:\.[a-z][a-z_0-9]*)+)/g)].map(([, name = '']) => name)
}

/** Quoted names with dots in them: of events, and where a language quotes fields. */
function quoted(text: string): string[] {
  return [...text.matchAll(/["']([a-z][a-z_0-9]*(?:\.[a-z][a-z_0-9]*)+)["']/g)].map(([, name = '']) => name)
}

function paths(value: unknown, before = ''): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [before]
  return Object.entries(value).flatMap(([name, member]) => paths(member, before === '' ? name : `${before}.${name}`))
}

t.test('every field and event in a query is there', async (t) => {
  const queries = {
    splunk: { texts: blocks(pages.splunk, 'spl', 'conf'), fields: overOtlp, vendor: ['transforms.conf', 'eventtypes.conf', 'tags.conf'] },
    datadog: { texts: blocks(pages.datadog, 'datadog', 'hcl'), fields: overOtlp, vendor: [] },
    elastic: { texts: blocks(pages.elastic, 'kql', 'esql', 'eql'), fields: inEcs, vendor: [] },
  } as const
  for (const [page, { texts, fields, vendor }] of Object.entries(queries)) {
    t.ok(texts.length > 5, page)
    for (const text of texts) {
      const names = [...dotted(text), ...quoted(text)]
      t.ok(names.length > 0, `${page}: ${text}`)
      for (const name of names) t.ok(fields.has(name) || events.has(name) || (vendor as readonly string[]).includes(name), `${page}: ${name}`)
    }
  }
})

t.test('every code in a query is one of the table, of the control API or of the page of errors', async (t) => {
  const lists = Object.values(pages).flatMap((page) => [...page.matchAll(/\b(?:sallyport|event)\.code(?: IN |:\s?| == )\(?([^)\n]*)\)?/g)].map(([, list = '']) => list))
  const named = lists.flatMap((list) => [...list.matchAll(/\b[a-z]+(?:_[a-z]+)+\b/g)].map(([code]) => code))
  t.ok(named.length > 20)
  for (const code of named) t.ok(codes.has(code), code)
})

t.test('every detection that is asked for is on each page', async (t) => {
  for (const page of ['splunk', 'elastic', 'datadog'] as const) {
    for (const name of ['sallyport.decision', 'name_mismatch', 'sni_missing', 'sallyport.approval.waited_ms', 'self_approval', 'agent_credential', 'sallyport.audit.gap', 'sallyport.audit.heartbeat', 'sallyport.session.shared']) {
      t.ok(pages[page].includes(name), `${page}: ${name}`)
    }
  }
})

t.test('what the pages name in their text is there', async (t) => {
  for (const [page, text] of Object.entries(pages)) {
    const prose = text.replaceAll(/^```[\s\S]*?^```/gm, '')
    for (const [, name = ''] of prose.matchAll(/`@?(sallyport\.(?!toml)[\w.]+)`/g)) {
      t.ok(attributes.has(name) || events.has(name) || overOtlp.has(name) || inEcs.has(name), `${page}: ${name}`)
    }
  }
})

/** Rows of a table of a section, by their cells. */
function rows(section: string): string[][] {
  const text = pages.formats.split(/^## /m).find((each) => each.startsWith(`${section}\n`)) ?? ''
  return [...text.matchAll(/^\| (.*) \|$/gm)].map(([, cells = '']) => cells.split(' | ')).filter(([first = '']) => first.startsWith('`'))
}

const codeWords = (cell = ''): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word)

t.test('the classes of OCSF are those of the table', async (t) => {
  const table = rows('OCSF').filter(([, cell = '']) => /\(\d+\)$/.test(cell))
  for (const name of eventNames) {
    const { class_uid: uid } = JSON.parse(formatter('ocsf', context)(exampleOf(name))) as { class_uid: number }
    const isSeen = (exampleOf(name).attributes['http.request.method'] ?? 'none') !== 'none'
    const fits = table.filter(([cell = '']) => codeWords(cell).some((pattern) => name === pattern || (pattern.endsWith('.*') && name.startsWith(pattern.slice(0, -1)))))
    const row = fits.length === 1 ? fits[0] : fits.find(([cell = '']) => cell.endsWith('with a method') === isSeen)
    t.equal(/\((\d+)\)$/.exec(row?.[1] ?? '')?.[1], String(uid), name)
  }
})

t.test('the tables of each form name what records have and what the form has', async (t) => {
  const ofRecord = new Set([...attributes, ...namesIn('The record'), 'url.*'])
  const inOcsf = new Set([...Object.keys(ocsfSchema.base), ...Object.values(ocsfSchema.classes).flatMap((each) => Object.keys(each.attributes)), ...Object.entries(ocsfSchema.objects).flatMap(([name, each]) => Object.keys(each.attributes).flatMap((attribute) => [attribute, `${name}.${attribute}`]))])
  const forms = { OCSF: inOcsf, ECS: inEcs, CEF: inCef } as const
  for (const [form, known] of Object.entries(forms)) {
    const mapped = rows(form).filter(([, cell = '']) => !/\(\d+\)$/.test(cell))
    t.ok(mapped.length > 5, form)
    for (const [from, to] of mapped) {
      for (const word of codeWords(from)) t.ok(ofRecord.has(word), `${form}: ${word}`)
      for (const word of codeWords(to)) t.ok(known.has(word) || /^(?:Asked|cs\d)$/.test(word) || word === 'actor.session', `${form}: ${word}`)
    }
  }
})

t.test('what goes over OTLP has the names that the pages use', async (t) => {
  const sent = new TextDecoder().decode(createEncoding('json', context).encode([exampleOf('sallyport.decision')]))
  for (const name of ['event.name', 'log.record.uid', 'sallyport.seq', 'sallyport.hash', 'sallyport.prev_hash', 'service.instance.id'] as const) t.ok(sent.includes(`"${name}"`), name)
  const decision: EventName = 'sallyport.decision'
  t.ok(sent.includes(decision))
})
