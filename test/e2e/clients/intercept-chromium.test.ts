// Chromium inside TLS that ends at the proxy, whose root is in its own store: a page whose script may read and not write,
// and can tell why.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { browserMissing, openBrowser } from '../../support/browser.ts'
import { ran } from '../../ca/fixture.ts'
import { startSecureWorld, type SecureWorld } from '../../support/secure-world.ts'
import type http from 'node:http'
import type { Page } from 'playwright-core'

const noCertutil = await ran('certutil', ['-H']).then(() => false as const, () => 'certutil is not installed')
const options = { skip: browserMissing || noCertutil }

const answers: http.RequestListener = (request, response) => {
  if (request.url === '/page') response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>the page</title><p>hello</p>')
  else if (request.url === '/events') {
    response.setHeader('Content-Type', 'text/event-stream')
    response.write('data: first\n\n')
  } else response.setHeader('Content-Type', 'text/plain').end(`${request.method} ${request.url}\n`)
}

async function open(t: Test, world: SecureWorld): Promise<Page> {
  const store = join(world.dir, '.pki', 'nssdb')
  mkdirSync(store, { recursive: true })
  t.match(await ran('certutil', ['-N', '--empty-password', '-d', `sql:${store}`]), { code: 0 })
  t.match(await ran('certutil', ['-A', '-d', `sql:${store}`, '-n', 'sallyport', '-t', 'C,,', '-i', world.caFile]), { code: 0 })
  const browser = await openBrowser(t, { home: world.dir, args: [`--proxy-server=${world.proxy.url}`, '--proxy-bypass-list=<-loopback>'] })
  return browser.newPage()
}

t.test('Chromium: a page is read, its script may GET, and a POST is refused in words that it can read', options, async (t) => {
  const world = await startSecureWorld(t, { rules: { read: 'methods = ["GET"]\npaths = ["/**"]' } }, answers)
  const page = await open(t, world)
  const answer = await page.goto(`${world.base}/page`)
  t.equal(answer?.status(), 200)
  t.equal(await page.title(), 'the page')
  t.match(await answer?.securityDetails(), { subjectName: '', issuer: /^sallyport / })
  t.equal(await page.evaluate(`performance.getEntriesByType('navigation')[0].nextHopProtocol`), 'h2')
  t.equal(await page.evaluate(`fetch('/data?a=b').then((answer) => answer.text())`), 'GET /data?a=b\n')
  const refused = await page.evaluate<{ status: number; body: Record<string, unknown> }>(`fetch('/data', { method: 'POST', body: 'x' }).then(async (answer) => ({ status: answer.status, body: await answer.json() }))`)
  t.equal(refused.status, 403)
  t.match(refused.body, { code: 'request_not_allowed', host: 'origin.test', hint: String })
  const first = await page.evaluate(`new Promise((resolve) => { new EventSource('/events').onmessage = ({ data }) => resolve(data) })`)
  t.equal(first, 'first', 'an event is there while the answer is still open')
  t.notOk(world.origin.requests.some(({ method }) => method !== 'GET'))
  t.ok(world.decisions().some(({ attributes }) => attributes['http.request.method'] === 'POST' && attributes['network.policy.decision'] === 'deny'))
})

t.test('Chromium: a page that is refused as a whole shows the refusal', options, async (t) => {
  const world = await startSecureWorld(t, { rules: { read: 'methods = ["GET"]\npaths = ["/open"]' } }, answers)
  const page = await open(t, world)
  const answer = await page.goto(`${world.base}/page`)
  t.equal(answer?.status(), 403)
  t.match(await page.textContent('body'), /"code":"request_not_allowed"/)
  t.same(world.origin.requests, [])
})
