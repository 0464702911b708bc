import t from 'tap'
import { parseRetryAfter } from '../../src/audit/otlp-sender.ts'

t.test('Retry-After is seconds or a date, and anything else is as if it were not there', async (t) => {
  t.equal(parseRetryAfter('2'), 2000)
  t.equal(parseRetryAfter('Fri, 01 Jan 2016 00:00:00 GMT'), 0)
  t.ok((parseRetryAfter(new Date(Date.now() + 60_000).toUTCString()) ?? 0) > 1000)
  for (const value of [undefined, '', 'soon', '-1', '1e99']) t.equal(parseRetryAfter(value), undefined, String(value))
})
