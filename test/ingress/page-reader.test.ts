// The thread that reads pages: bounds of time and memory, one page at a time, and the next one is read all the same.
import t from 'tap'
import type { PageJob } from '../../src/ingress/page-job.ts'
import { PageReader } from '../../src/ingress/page-reader.ts'

function page(html: string): Omit<PageJob, 'id'> {
  return { bytes: Buffer.from(html), contentType: 'text/html', url: 'https://docs.test/', format: 'text', ageS: undefined }
}

t.test('a page is read, and one that takes too long is given up without harm to the next', async (t) => {
  const reader = new PageReader({ timeoutMs: 4_000 })
  t.teardown(() => reader.close())
  t.match(await reader.read(page('<p>first')), 'first')
  const slow = reader.read(page(`x${'&lt;'.repeat(190_000)}${'a&lt;'.repeat(5_000)}<p>${'<div>'.repeat(180_000)}`))
  const next = reader.read(page('<p>next'))
  await t.rejects(slow, { message: 'it took more than 4 s' })
  t.match(await next, 'next')
})

t.test('a page that takes too much memory is given up, and the process goes on', async (t) => {
  const reader = new PageReader({ timeoutMs: 60_000, memoryMb: 24 })
  t.teardown(() => reader.close())
  await t.rejects(reader.read(page('<p><i a=b c=d>x</i>'.repeat(90_000))), { message: 'it took more memory than a page may' })
  t.match(await reader.read(page('<p>next')), 'next')
})

t.test('a session has few pages at a time, and others are not kept out', async (t) => {
  const reader = new PageReader({ perSession: 2 })
  t.teardown(() => reader.close())
  const [leave] = [reader.enter('one'), reader.enter('one')]
  t.throws(() => reader.enter('one'), { code: 'fetch_busy' })
  reader.enter('two')()
  leave()
  reader.enter('one')()
  for (let i = 0; i < 63; i++) reader.enter(`session ${i}`)
  t.throws(() => reader.enter('one more'), { code: 'fetch_busy' })
})

t.test('what waits when it is closed is told so', async (t) => {
  const reader = new PageReader()
  const waiting = [reader.read(page('<p>a')), reader.read(page('<p>b'))]
  const settled = Promise.allSettled(waiting)
  reader.close()
  t.strictSame((await settled).map(({ status }) => status), ['rejected', 'rejected'])
})
