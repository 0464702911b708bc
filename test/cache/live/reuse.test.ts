// When a kept answer is used as it is, when it is confirmed, and when a stale one may stand in.
import t from 'tap'
import { judgeReuse, mayReplaceError } from '../../../src/cache/live/reuse.ts'
import { asked, head, nowMs } from './requests.ts'

const judged = (lines: readonly string[], request: readonly string[] = [], afterS = 50): string => {
  const reuse = judgeReuse(head(lines), asked(request), nowMs + afterS * 1000)
  return reuse.kind === 'confirm' ? reuse.why : reuse.kind === 'usable' ? String(reuse.ttlMs / 1000) : reuse.kind
}

t.test('fresh is used, stale is confirmed, at the second', async (t) => {
  t.equal(judged(['Cache-Control: max-age=51']), '1')
  t.equal(judged(['Cache-Control: max-age=50']), 'stale')
  t.equal(judged(['Cache-Control: max-age=100, no-cache']), 'stale')
  t.equal(judged(['Cache-Control: max-age=100, no-cache="Foo"']), 'stale')
  t.equal(judged(['Cache-Control: max-age=100, must-revalidate']), '50')
  t.equal(judged(['Expires: Sat, 21 Nov 2026 13:00:00 GMT', 'Pragma: no-cache']), 'stale')
  t.equal(judged(['Cache-Control: max-age=10, stale-while-revalidate=100']), 'stale')
})

t.test('what the client demands holds', async (t) => {
  const lines = ['Cache-Control: max-age=100']
  t.equal(judged(lines, ['Cache-Control: no-cache']), 'request')
  t.equal(judged(lines, ['Pragma: no-cache']), 'request')
  t.equal(judged(lines, ['Cache-Control: max-age=49']), 'request')
  t.equal(judged(lines, ['Cache-Control: max-age=50']), '50')
  t.equal(judged(lines, ['Cache-Control: max-age=x']), 'request')
  t.equal(judged(lines, ['Cache-Control: min-fresh=50']), '50')
  t.equal(judged(lines, ['Cache-Control: min-fresh=51']), 'request')
})

t.test('max-stale takes what its origin has not forbidden', async (t) => {
  t.equal(judged(['Cache-Control: max-age=40'], ['Cache-Control: max-stale']), '-10')
  t.equal(judged(['Cache-Control: max-age=40'], ['Cache-Control: max-stale=10']), '-10')
  t.equal(judged(['Cache-Control: max-age=40'], ['Cache-Control: max-stale=9']), 'stale')
  t.equal(judged(['Cache-Control: max-age=40'], ['Cache-Control: max-stale=x']), 'stale')
  for (const name of ['must-revalidate', 'proxy-revalidate', 's-maxage=40', 'no-cache']) t.equal(judged([`Cache-Control: max-age=40, ${name}`], ['Cache-Control: max-stale']), 'stale', name)
})

t.test('a request with Authorization gets only what is for everybody', async (t) => {
  t.equal(judged(['Cache-Control: max-age=100'], ['Authorization: x']), 'forbidden')
  for (const name of ['public', 's-maxage=100', 'must-revalidate']) t.equal(judged([`Cache-Control: max-age=100, ${name}`], ['Authorization: x']), '50', name)
})

t.test('an error is stood in for within stale-if-error, of either side', async (t) => {
  const may = (own: string, request = ''): boolean => mayReplaceError(head([`Cache-Control: max-age=40${own}`]), asked(request === '' ? [] : [`Cache-Control: ${request}`]), nowMs + 50_000)
  t.ok(may(', stale-if-error=10'))
  t.ok(may('', 'stale-if-error=10'))
  t.notOk(may(', stale-if-error=9'))
  t.notOk(may(''))
  t.notOk(may(', stale-if-error=x'))
  t.notOk(may(', stale-if-error=10', 'no-cache'))
  for (const name of ['must-revalidate', 'proxy-revalidate', 's-maxage=40', 'no-cache']) t.notOk(may(`, stale-if-error=100, ${name}`, 'stale-if-error=100'), name)
})
