// The answers to a page that is not in the cache, on the pages: fetched first, live second, the whole URL in either case,
// and a second look where something about it is odd. All of it without script.
import t from 'tap'
import { ReviewFault } from '../../../src/approvals/review-fault.ts'
import { doubtsAbout } from '../../../src/approvals/url-look.ts'
import { grantsPage } from '../../../src/control/pages/grants-page.ts'
import { liveReading } from '../../../src/policy/grant.ts'
import { browserMissing, lowContrast, openBrowser, watchFaults } from '../../support/browser.ts'
import { hiddenFields, pageClient } from '../../support/page-client.ts'
import { actorOf, approvalOf, cookieName, grantOf, openPages, pagesOn, secretOf, startMs, worldOf, type World } from '../../support/review-pages.ts'

const id = '01JD0000000000000000FETCH0'
const data = Buffer.from('the quick brown fox jumps over 13 lazy dogs').toString('base64url')
const plain = 'https://docs.example.org/guide/start?lang=en'
const odd = `https://docs.example.org/guide?q=${data}&lang=en`

function worldWith(url: string, more: Parameters<typeof approvalOf>[0] = {}): World {
  const approval = approvalOf({ id, kind: 'fetch', host: 'docs.example.org', method: 'GET', url, requestDigest: 'fetch:00', ...more })
  const world = worldOf({ approvals: [approval] })
  world.cards.set(id, { doubts: doubtsAbout(url) })
  return world
}

t.test('fetching comes first and live reading second, with its terms, and neither is what Enter does', async (t) => {
  const client = pageClient(await pagesOn(t, worldWith(plain)), 'reviewer')
  const { body } = await client.get(`/approvals/${id}`)
  const order = ['name="verdict" value="" hidden', 'Fetch this page once into the cache', 'value="fetch"', 'Let the host be read live', 'For how long', 'value="deny"', 'value="allow"'].map((text) => body.indexOf(text))
  t.ok(order.every((at, index) => at > 0 && at > (order[index - 1] ?? 0)), JSON.stringify(order))
  t.match(body, 'every session of team platform')
  t.ok(body.includes('https://docs.example.org/guide/start?lang=en'.replaceAll('&', '&amp;')))
})

t.test('a page is fetched with one press where nothing is odd about its URL', async (t) => {
  const world = worldWith(plain)
  const client = pageClient(await pagesOn(t, world), 'reviewer')
  const answered = await client.post(`/approvals/${id}/decision`, { verdict: 'fetch', version: '1', term: 'always', who: 'agent', comment: 'for the build' })
  t.equal(answered.status, 303)
  t.match(world.calls, [['decide', id, { verdict: 'allow', isFetch: true, term: 'once', who: 'session', subdomains: false, comment: 'for the build', version: 1 }, 'reviewer']])
  t.notMatch(JSON.stringify(world.calls), 'isConfirmed')
})

t.test('an odd URL is shown whole and marked, and fetched only after a second page', async (t) => {
  const world = worldWith(odd)
  const client = pageClient(await pagesOn(t, world), 'reviewer')
  const asked = await client.post(`/approvals/${id}/decision`, { verdict: 'fetch', version: '1' })
  t.equal(asked.status, 200)
  t.same(world.calls, [])
  t.match(asked.body, `<mark>${data}</mark>`)
  t.match(asked.body, /looks like data/)
  const fields = hiddenFields(asked.body)
  t.match(fields, { verdict: 'fetch', version: '1' })
  t.equal((await client.post(`/approvals/${id}/decision`, { ...fields, confirmed: 'x'.repeat(43) })).status, 200)
  t.same(world.calls, [], 'a seal that is made up confirms nothing')
  const live = await client.post(`/approvals/${id}/decision`, { ...fields, verdict: 'allow', term: 'always' })
  t.match(live.body, 'Allow more than was asked?', 'nor does that of another answer')
  t.same(world.calls, [])
  t.equal((await client.post(`/approvals/${id}/decision`, fields)).status, 303)
  t.match(world.calls, [['decide', id, { isFetch: true, isConfirmed: true }, 'reviewer']])
})

t.test('why a page was not fetched is said on the question, which stays open', async (t) => {
  const world = worldWith(plain)
  const client = pageClient(await pagesOn(t, world), 'reviewer')
  world.fault = new ReviewFault('fetch_failed', 'the page was not fetched: it cannot be kept: its status is 500')
  const failed = await client.post(`/approvals/${id}/decision`, { verdict: 'fetch', version: '1', comment: 'my words' })
  t.equal(failed.status, 502)
  t.match(failed.body, 'its status is 500.')
  t.match(failed.body, 'my words')
  t.match(failed.body, 'value="fetch"')
})

t.test('while somebody has it fetched there is no form, and afterwards what came of it', async (t) => {
  const busy = pageClient(await pagesOn(t, worldWith(plain, { fetching: { by: 'mara', sinceMs: startMs - 4000 } })), 'reviewer')
  const shown = (await busy.get(`/approvals/${id}`)).body
  t.match(shown, /<strong>mara<\/strong> has the page fetched/)
  t.notMatch(shown, 'value="fetch"')
  const decision = { verdict: 'allow', term: 'once', by: 'mara', secondBy: undefined, atMs: startMs, comment: undefined, grantId: undefined, isFetched: true, fetchNote: 'the page leads on to https://x.test/, which was not fetched: no (denied_by_rule)' } as const
  const done = pageClient(await pagesOn(t, worldWith(plain, { state: 'allowed', decision })), 'reviewer')
  const outcome = (await done.get(`/approvals/${id}`)).body
  t.match(outcome, 'was fetched into the cache by mara. Nothing was opened.')
  t.match(outcome, 'which was not fetched')
})

t.test('after a first yes to fetching, live reading is not offered', async (t) => {
  const answer = { verdict: 'allow', term: 'once', untilMs: undefined, subdomains: false, allPorts: false, who: 'session', comment: undefined, version: 1, isFetch: true } as const
  const world = worldWith(plain, { firstYes: { by: 'mara', mintedBy: undefined, atMs: startMs, answer } })
  world.cards.set(id, { rules: { fourEyes: true, commentFor: [], ownerMay: [] } })
  const { body } = await pageClient(await pagesOn(t, world), 'reviewer').get(`/approvals/${id}`)
  t.match(body, 'value="fetch"')
  t.notMatch(body, 'value="allow"')
})

t.test('an owner who may answer for a session and not once is not offered the fetch', async (t) => {
  const world = worldWith(plain, { owner: 'reviewer' })
  world.cards.set(id, { rules: { fourEyes: false, commentFor: [], ownerMay: ['session'] } })
  const { body } = await pageClient(await pagesOn(t, world), 'reviewer').get(`/approvals/${id}`)
  t.notMatch(body, 'value="fetch"')
  t.match(body, 'value="allow"')
})

t.test('a grant says when it is about reading live or about one page', async (t) => {
  const view = { actor: actorOf('reviewer'), nowMs: startMs, csrf: 'c', assets: { style: 's', script: 'j', find: () => undefined } }
  const chips = (requestDigest: string | undefined): string => grantsPage(view, [grantOf({ requestDigest })]).main.toString()
  t.match(chips(liveReading), 'reading it live')
  t.match(chips('fetch:00'), 'one page')
  t.match(chips('00'), 'one request')
  t.notMatch(chips(undefined), /one request|one page|reading it live/)
})

t.test('in a browser without script a page is looked at twice and fetched, narrow and dark too', { skip: browserMissing }, async (t) => {
  const world = worldWith(odd)
  const url = await openPages(t, world)
  const browser = await openBrowser(t)
  for (const colorScheme of ['light', 'dark'] as const) {
    const context = await browser.newContext({ viewport: { width: 390, height: 800 }, colorScheme, javaScriptEnabled: colorScheme === 'dark' })
    await context.addCookies([{ name: cookieName, value: secretOf('reviewer'), url }])
    const page = await context.newPage()
    const faults = watchFaults(page, url)
    await page.goto(`${url}/approvals/${id}`)
    t.ok(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), 'nothing sticks out')
    if (colorScheme === 'dark') t.same(await lowContrast(page), [])
    await page.click('button[value=fetch]')
    t.equal(await page.textContent('.confirm mark'), data)
    if (colorScheme === 'dark') t.same(await lowContrast(page), [])
    if (colorScheme === 'light') await page.click('.confirm button.allow')
    else await page.click('.confirm a.button')
    t.same(faults, [])
    world.approvals.forEach((approval, at) => (world.approvals[at] = { ...approval, state: 'pending', version: 1, decision: undefined }))
  }
  t.match(world.calls, [['decide', id, { isFetch: true, isConfirmed: true }, 'reviewer']])
})
