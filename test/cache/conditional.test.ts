// Conditions and ranges against an entry: RFC 9110 sections 13 and 14, step by step.
import t from 'tap'
import { planAnswer } from '../../src/cache/conditional.ts'
import type { AnswerPlan } from '../../src/cache/conditional.ts'
import type { CachedResponse } from '../../src/cache/cached-response.ts'
import * as fc from '../support/property.ts'
import { entryOf, noonMs } from './entries.ts'

const at = (ms: number): string => new Date(noonMs + ms).toUTCString()
const modified = at(-60_000)
const fields = ['Date', at(0), 'ETag', '"v1"', 'Last-Modified', modified, 'Content-Type', 'text/plain', 'Cache-Control', 'max-age=60', 'Vary', 'Accept', 'X-A', 'x']
const entry = entryOf({ fields, bodyBytes: 100 })

function plan(asked: readonly string[], of: CachedResponse = entry, method: 'GET' | 'HEAD' = 'GET'): AnswerPlan {
  return planAnswer(method, asked, of)
}

function value(answer: AnswerPlan, name: string): string | undefined {
  const found = answer.fields.findIndex((field, i) => i % 2 === 0 && field === name)
  return found === -1 ? undefined : answer.fields[found + 1]
}

t.test('without conditions all of it is answered; HEAD gets the same head and no content', async (t) => {
  const all = { status: 200, reason: 'OK', fields: [...fields, 'Accept-Ranges', 'bytes', 'Content-Length', '100'], range: undefined }
  t.strictSame(plan([]), { ...all, hasContent: true })
  t.strictSame(plan(['Range', 'bytes=0-0'], entry, 'HEAD'), { ...all, hasContent: false })
  t.strictSame(plan([], entryOf({ status: 204, reason: 'No Content' })), { status: 204, reason: 'No Content', fields: ['Date', at(0)], range: undefined, hasContent: false })
})

t.test('a condition or a range counts in any spelling of its name, also after a plain answer was given', async (t) => {
  const other = entryOf({ fields, bodyBytes: 100 })
  for (const page of [entry, other]) {
    t.equal(plan(['Accept', '*/*', 'If-Range', '"v1"'], page).status, 200)
    t.equal(plan(['Accept', '*/*', 'rAnGe', 'bytes=0-0'], page).status, 206)
    t.equal(plan(['IF-NONE-MATCH', '"v1"'], page).status, 304)
    t.equal(plan(['if-Match', '"v2"'], page).status, 412)
    t.equal(plan(['If-Modified-since', at(0)], page).status, 304)
    t.equal(plan(['If-UnModified-Since', at(-90_000)], page).status, 412)
    t.equal(plan([], page).status, 200)
  }
  t.strictSame(plan(['X-A', 'y']), plan([]))
})

t.test('If-None-Match compares weakly and answers 304 with what 304 repeats', async (t) => {
  for (const tag of ['"v1"', 'W/"v1"', '*', '"a", "v1"', '"a,b" , W/"v1"']) t.equal(plan(['If-None-Match', tag]).status, 304, tag)
  t.equal(plan(['if-none-match', '"a"', 'If-None-Match', '"v1"']).status, 304, 'on two lines')
  for (const tag of ['"v2"', 'v1', '"V1"', 'w/"v1"', '', '"v1', '"v1"x']) t.equal(plan(['If-None-Match', tag]).status, 200, tag)
  t.strictSame(plan(['If-None-Match', '*']), { status: 304, reason: 'Not Modified', fields: ['Date', at(0), 'ETag', '"v1"', 'Cache-Control', 'max-age=60', 'Vary', 'Accept'], range: undefined, hasContent: false })
  t.equal(plan(['If-None-Match', '"v1"'], entryOf()).status, 200, 'an entry without ETag')
  t.equal(plan(['If-None-Match', '"v1"', 'Range', 'bytes=0-1'], entry, 'HEAD').status, 304)
})

t.test('If-Modified-Since counts where there is no If-None-Match', async (t) => {
  t.equal(plan(['If-Modified-Since', modified]).status, 304)
  t.equal(plan(['If-Modified-Since', at(0)]).status, 304)
  t.equal(plan(['If-Modified-Since', at(-61_000)]).status, 200)
  t.equal(plan(['If-Modified-Since', at(0), 'If-None-Match', '"v2"']).status, 200)
  for (const text of ['', 'yesterday', '2026-11-21', `${modified}, ${modified}`, modified.replace('GMT', 'UTC'), '0']) t.equal(plan(['If-Modified-Since', text]).status, 200, text)
  t.equal(plan(['If-Modified-Since', at(0), 'If-Modified-Since', at(0)]).status, 200, 'twice')
  const plain = entryOf()
  t.equal(plan(['If-Modified-Since', at(0)], plain).status, 304, 'without Last-Modified its Date counts')
  t.equal(plan(['If-Modified-Since', at(-1000)], plain).status, 200)
  t.strictSame(plan(['If-Modified-Since', at(0)], entryOf({ fields: ['Date', at(0), 'Last-Modified', modified] })).fields, ['Date', at(0), 'Last-Modified', modified], 'without ETag it is said again')
})

t.test('If-Match and If-Unmodified-Since answer 412, before all else', async (t) => {
  for (const tag of ['"v1"', '*', '"a", "v1"']) t.equal(plan(['If-Match', tag]).status, 200, tag)
  for (const tag of ['"v2"', 'W/"v1"', '']) t.strictSame(plan(['If-Match', tag, 'If-None-Match', '"v1"', 'Range', 'bytes=0-0']), { status: 412, reason: 'Precondition Failed', fields: ['Content-Length', '0'], range: undefined, hasContent: false }, tag)
  t.equal(plan(['If-Match', 'W/"v1"'], entryOf({ fields: ['ETag', 'W/"v1"'] })).status, 412, 'weak tags never match strongly')
  t.equal(plan(['If-Unmodified-Since', at(-61_000)]).status, 412)
  t.equal(plan(['If-Unmodified-Since', modified]).status, 200)
  t.equal(plan(['If-Unmodified-Since', at(-61_000), 'If-Match', '"v1"']).status, 200, 'If-Match takes its place')
  t.equal(plan(['If-Unmodified-Since', at(-61_000)], entryOf()).status, 200, 'nobody knows when it changed')
})

t.test('no condition and no range holds for what is no success, and no range for what is not 200', async (t) => {
  const missing = entryOf({ ...entry, status: 404, reason: 'Not Found' })
  for (const asked of [['If-None-Match', '"v1"'], ['If-Match', '"v2"'], ['If-Modified-Since', at(0)], ['Range', 'bytes=0-0']]) t.equal(plan(asked, missing).status, 404, asked.join(': '))
  t.equal(plan(['Range', 'bytes=0-0'], entryOf({ ...entry, status: 203 })).status, 203)
  t.equal(plan(['If-None-Match', '*'], entryOf({ ...entry, status: 203 })).status, 304)
})

t.test('one range is answered, an unsatisfiable one refused, and what is not understood gets all', async (t) => {
  for (const [range, first, last] of [['bytes=0-0', 0, 0], ['bytes=10-19', 10, 19], ['Bytes=99-', 99, 99], ['bytes=-1', 99, 99], ['bytes=-100', 0, 99], ['bytes=-101', 0, 99], ['bytes=0-1000', 0, 99], ['bytes= 5-6 ', 5, 6], [`bytes=1-${'9'.repeat(400)}`, 1, 99], [`bytes=-${'9'.repeat(400)}`, 0, 99]] as const) {
    const answer = plan(['Range', range])
    t.strictSame([answer.status, answer.range, value(answer, 'Content-Range'), value(answer, 'Content-Length'), answer.hasContent], [206, { first, last }, `bytes ${first}-${last}/100`, String(last - first + 1), true], range)
    t.equal(value(answer, 'ETag'), '"v1"')
  }
  for (const range of ['bytes=100-', 'bytes=100-200', 'bytes=-0', `bytes=${'9'.repeat(400)}-`]) {
    t.strictSame(plan(['Range', range]), { status: 416, reason: 'Range Not Satisfiable', fields: ['Content-Range', 'bytes */100', 'Content-Length', '0'], range: undefined, hasContent: false }, range)
  }
  for (const range of ['', 'bytes', 'bytes=', 'bytes=-', 'bytes=2-1', 'bytes=0-0,2-3', 'bytes=0-0, -1', 'lines=0-0', 'bytes=a-b', 'bytes=0x0-1', 'bytes=+1-2', 'bytes=1.0-2', 'bytes 0-0', 'bytes=0-0;q=1', 'bytes=0 - 1']) {
    t.strictSame([plan(['Range', range]).status, plan(['Range', range]).range], [200, undefined], range)
  }
  t.equal(plan(['Range', 'bytes=0-0', 'Range', 'bytes=1-1']).status, 200, 'twice')
  t.equal(plan(['Range', 'bytes=0-'], entryOf()).status, 416, 'nothing has no first byte')
  t.equal(plan(['Range', 'bytes=-5'], entryOf()).status, 200)
})

t.test('If-Range lets a range through for a strong validator that is exactly the same', async (t) => {
  const range = ['Range', 'bytes=0-0']
  for (const [validator, status] of [['"v1"', 206], ['W/"v1"', 200], ['"v2"', 200], [modified, 206], [at(-61_000), 200], [at(0), 200], ['', 200], ['*', 200]] as const) t.equal(plan([...range, 'If-Range', validator]).status, status, validator)
  t.equal(plan([...range, 'If-Range', 'W/"v1"'], entryOf({ ...entry, fields: ['ETag', 'W/"v1"'] })).status, 200)
  t.equal(plan([...range, 'If-Range', at(0)], entryOf({ ...entry, fields: ['Date', at(0), 'Last-Modified', at(0)] })).status, 200, 'a date of the same second is weak')
  t.equal(plan(['If-Range', '"v2"']).status, 200, 'without Range it says nothing')
  t.equal(plan(['Range', 'bytes=900-', 'If-Range', '"v2"']).status, 200, 'what changed is sent whole')
})

t.test('the slices that ranges give make up the whole, whatever its size', async () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.array(fc.nat({ max: 220 }), { maxLength: 5 }), (content, cuts) => {
    const whole = entryOf({ bodyBytes: content.length })
    const borders = [...new Set([0, ...cuts.filter((cut) => cut < content.length)])].toSorted((a, b) => a - b)
    const slices = borders.map((first, i) => {
      const next = borders[i + 1]
      const answer = planAnswer('GET', ['Range', next === undefined ? `bytes=${first}-` : `bytes=${first}-${next - 1}`], whole)
      return content.subarray(answer.range?.first, (answer.range?.last ?? -1) + 1)
    })
    return Buffer.concat(slices).equals(content)
  }))
})

t.test('whatever is asked, the plan is one of six and its range lies within the content', async () => {
  const name = fc.constantFrom('Range', 'If-Range', 'If-None-Match', 'If-Match', 'If-Modified-Since', 'If-Unmodified-Since')
  const text = fc.oneof(fc.constantFrom('"v1"', 'W/"v1"', '*', modified, at(0)), fc.tuple(fc.nat(300), fc.nat(300)).map(([a, b]) => `bytes=${a}-${b}`), fc.nat(300).map((n) => `bytes=-${n}`), fc.string({ unit: 'binary', maxLength: 20 }))
  fc.assert(fc.property(fc.array(fc.tuple(name, text), { maxLength: 4 }), fc.constantFrom('GET', 'HEAD'), fc.nat(300), (pairs, method, bodyBytes) => {
    const { status, range, hasContent, fields: sent } = planAnswer(method === 'GET' ? 'GET' : 'HEAD', pairs.flat(), entryOf({ ...entry, bodyBytes }))
    if (![200, 206, 304, 412, 416].includes(status) || sent.length % 2 !== 0) return false
    if (hasContent !== (method === 'GET' && (status === 200 || status === 206))) return false
    return range === undefined ? status !== 206 : status === 206 && range.first >= 0 && range.first <= range.last && range.last < bodyBytes
  }), { numRuns: 2000 })
})
