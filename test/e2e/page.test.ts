// The reviewers' pages in a real browser: signing in, answering, following; with keyboard alone, without
// script, on a phone; and with text on them that wants to be a program (security cases 78, 79 and 80).
import { createServer } from 'node:http'
import t, { type Test } from 'tap'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { browserMissing, lowContrast, openBrowser, watchFaults } from '../support/browser.ts'
import { hostileTexts } from '../support/hostile-texts.ts'
import { approvalOf, cookieName, eventOf, grantOf, pagesOn, secretOf, sessionOf, startMs, stateOf, worldOf, type World } from '../support/review-pages.ts'
import { fullWorld, homographHost, longHost } from '../support/review-world.ts'

const skip = browserMissing
const one = '01JD000000000000000000AAAA'
const phone = { viewport: { width: 375, height: 812 } }
const places = ['/', `/approvals/${one}`, '/approvals/01JD0000000000000000UPLOAD', '/approvals/01JD00000000000000000LONG0', '/approvals/01JD00000000000000000DONE0', '/grants', '/sessions', '/proposals', '/events']

interface Visitor {
  readonly url: string
  readonly page: Page
  readonly faults: readonly string[]
  /** `Origin` of each form that was sent */
  readonly origins: readonly unknown[]
}

let browser: Promise<Browser> | undefined
const shared = (): Promise<Browser> => (browser ??= openBrowser(t))

/** Somebody in front of the pages; signed in when `name` is given. */
async function visit(t: Test, world: World, { name, ...options }: BrowserContextOptions & { readonly name?: string } = {}): Promise<Visitor> {
  const server = await pagesOn(t, world)
  const origins: unknown[] = []
  server.addHook('onRequest', async (request) => {
    if (request.method === 'POST') origins.push(request.headers.origin)
  })
  const url = await server.listen({ host: '127.0.0.1', port: 0 })
  const context = await (await shared()).newContext(options)
  t.teardown(() => context.close())
  context.setDefaultTimeout(10_000)
  if (name !== undefined) await context.addCookies([{ name: cookieName, value: secretOf(name), url, httpOnly: true, sameSite: 'Strict' }])
  const page = await context.newPage()
  return { url, page, faults: watchFaults(page, url), origins }
}

t.test('somebody signs in, answers a question, and sees what became of it', { skip }, async (t) => {
  const world = fullWorld()
  const { url, page, faults, origins } = await visit(t, world)
  await page.goto(`${url}/approvals/${one}`)
  await page.getByLabel('Control token').fill('sp_wrong')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('alert').waitFor()
  await page.getByLabel('Control token').fill(secretOf('reviewer'))
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'files.example.org' }).waitFor()
  t.equal(page.url(), `${url}/approvals/${one}`)
  await page.getByRole('radio', { name: '8 hours' }).check()
  await page.getByRole('textbox', { name: 'Comment' }).fill('For the build.')
  await page.getByRole('button', { name: 'Allow' }).click()
  t.match(await page.getByRole('status').innerText(), 'files.example.org was allowed for a time by reviewer.')
  t.match(world.calls, [['decide', one, { verdict: 'allow', term: 'until', untilMs: startMs + 8 * 3_600_000, who: 'session', comment: 'For the build.' }, 'reviewer']])
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByLabel('Control token').waitFor()
  t.same((await page.context().cookies()).filter(({ name }) => name === cookieName), [])
  t.same(new Set(origins), new Set([url]), 'forms name the origin that the listener looks for')
  t.same(faults, [])
})

t.test('a link with the token in its fragment signs in, and the token is gone from the address', { skip }, async (t) => {
  const { url, page, faults } = await visit(t, fullWorld())
  await page.goto(`${url}/approvals/${one}#token=${secretOf('viewer')}`)
  await page.getByRole('heading', { name: 'files.example.org' }).waitFor()
  t.equal(page.url(), `${url}/approvals/${one}`)
  await page.goBack()
  t.notMatch(page.url(), 'token=')
  t.same(faults, [])
})

t.test('a link on another site opens the page of somebody who is signed in', { skip }, async (t) => {
  const { url, page } = await visit(t, fullWorld(), { name: 'viewer' })
  const site = createServer((_request, response) => response.setHeader('content-type', 'text/html').end(`<a href="${url}/approvals/${one}">a question</a>`))
  await new Promise<void>((resolve) => { site.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => site.close())
  const address = site.address()
  await page.goto(`http://localhost:${typeof address === 'object' && address !== null ? address.port : 0}/`)
  await page.getByRole('link').click()
  await page.getByRole('heading', { name: 'files.example.org' }).waitFor()
  t.equal(page.url(), `${url}/approvals/${one}`)
})

t.test('hostile text on every page runs nothing and asks for nothing', { skip }, async (t) => {
  const world = worldOf()
  const texts = [...hostileTexts, hostileTexts.join('')]
  const confirmed = [`/approvals/01JDHOSTILE${hostileTexts.length}`, '/approvals/01JDLONGPATH']
  texts.forEach((text, index) => {
    const id = `01JDHOSTILE${index}`
    world.approvals.push(approvalOf({
      id, kind: 'request', method: text, url: `https://files.example.org/${text}`, agent: text, owner: text, team: text, session: text, reason: text, statedReason: text,
      userAgent: text, rule: { id: text, pattern: text, file: text, line: 1 },
    }))
    world.cards.set(id, {
      unicodeHost: text, hints: [{ code: 'punycode', text }], nearestRules: [{ rule: { id: text, pattern: text, file: text, line: 1 }, why: text }],
      others: [{ agent: text, session: text, state: text }], patterns: [text],
      similar: [{ approvalId: id, host: text, verdict: 'deny', term: 'once', by: text, atMs: startMs, comment: text }],
    })
    world.sessions.push(sessionOf({ id: `s${index}`, principal: { session: text, agent: text, owner: text, team: text } }))
    world.grants.push(grantOf({ id: `g${index}`, who: 'agent', holder: text, by: text }))
    world.proposals.push({ id: `p${index}`, approvalId: id, verdict: 'allow', pattern: text, agent: text, team: text, by: text, createdMs: startMs, state: 'open', decidedBy: undefined })
    world.events.push(Object.assign(eventOf({ seq: index, time: text, name: text, body: text, attributes: { 'sallyport.request.id': text, 'sallyport.approval.id': text, 'url.path': text, 'http.request.method': text } }), { severity: text }))
  })
  world.approvals.push(approvalOf({ id: '01JDLONGPATH', kind: 'request', method: 'POST', url: `https://files.example.org/${'"><svg onload=globalThis.ran=1>'.repeat(2200)}` }))
  const { url, page, faults } = await visit(t, world, { name: 'admin' })
  const foreign = (): Promise<unknown> => page.evaluate(`[globalThis.ran ?? 'nothing ran', document.querySelectorAll('svg, img, iframe, base, math, object, embed, style, script:not([src^="/assets/"])').length]`)
  const none = ['nothing ran', 0]
  for (const path of ['/', '/grants', '/sessions', '/proposals', '/events', ...world.approvals.map(({ id }) => `/approvals/${id}`)]) {
    await page.goto(url + path)
    t.same(await foreign(), none, path)
    if (!confirmed.includes(path)) continue
    await page.getByText('Wider than asked').click()
    await page.locator('input[name=who][value=agent]').check()
    await page.getByRole('textbox', { name: 'Comment' }).fill(world.approvals.find(({ id }) => path.endsWith(id))?.statedReason ?? '')
    await page.getByRole('button', { name: 'Allow' }).click()
    await page.getByRole('button', { name: 'Allow all of this' }).waitFor()
    t.same(await foreign(), none, `${path}, confirming`)
  }
  t.same(faults, [])
})

t.test('markup that reached a page all the same would not run', { skip }, async (t) => {
  const { url, page } = await visit(t, fullWorld(), { name: 'viewer' })
  await page.goto(url)
  const blocked = await page.evaluate<{ seen: string[]; ran: unknown }>(`(async () => {
    const seen = []
    document.addEventListener('securitypolicyviolation', (event) => seen.push(event.effectiveDirective))
    try {
      document.body.innerHTML = '<img src=x onerror=globalThis.ran=1>'
    } catch (error) {
      seen.push(error.name)
    }
    const blocked = new Promise((resolve) => document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => effectiveDirective === 'img-src' && resolve()))
    const image = document.createElement('img')
    image.src = 'https://evil.example/x'
    document.body.append(image)
    await blocked
    return { seen, ran: globalThis.ran }
  })()`)
  t.equal(blocked.ran, undefined)
  t.ok(blocked.seen.includes('TypeError'))
  t.ok(blocked.seen.includes('img-src'))
})

t.test('a homograph, text that turns and 200 characters of subdomain: A-label and registered name are in view', { skip }, async (t) => {
  const world = fullWorld()
  world.cards.set(one, { unicodeHost: 'a\u202eb', hints: [] })
  for (const viewport of [{ width: 1200, height: 820 }, phone.viewport, { width: 320, height: 640 }]) {
    const { url, page } = await visit(t, world, { name: 'reviewer', viewport })
    const shown = [['01JD00000000000000000HOMO0', homographHost, homographHost], ['01JD00000000000000000LONG0', 'evil-uploads.net', longHost], [one, 'example.org', 'files.example.org']] as const
    for (const path of ['/', ...shown.map(([id]) => `/approvals/${id}`)]) {
      await page.goto(url + path)
      for (const [id, domain, label] of shown.filter(([each]) => path === '/' || path.endsWith(each))) {
        const selector = path === '/' ? `[data-row="${id}"] .domain` : 'h1 .domain'
        const host = page.locator(selector)
        await host.scrollIntoViewIfNeeded()
        const box = await host.boundingBox()
        t.ok(box !== null && box.x >= 0 && box.x + box.width <= viewport.width, `${domain} is within ${viewport.width} on ${path}`)
        t.equal(await host.innerText(), domain)
        const isOnTop = await page.evaluate<boolean>(`(() => {
          const element = document.querySelector('${selector}')
          const { left, width, top, height } = element.getBoundingClientRect()
          const found = document.elementFromPoint(left + width / 2, top + height / 2)
          return element.contains(found) || found.contains(element)
        })()`)
        t.ok(isOnTop, `${domain} is covered by nothing`)
        if (path === '/') continue
        t.ok((await page.locator('.asked').innerText()).replaceAll('\n', '').includes(label), `the whole of ${label.slice(0, 30)} is on the card`)
        t.notMatch(await page.locator('main').innerText(), /[\u202a-\u202e\u2066-\u2069а]/)
      }
    }
  }
})

t.test('the keyboard is enough, and Enter allows nothing by itself', { skip }, async (t) => {
  const world = fullWorld()
  const { url, page, faults } = await visit(t, world)
  const { keyboard } = page
  const focused = (): Promise<string> => page.evaluate<string>('document.activeElement.dataset.row ?? document.activeElement.value ?? document.activeElement.textContent.trim()')
  await page.goto(url)
  await keyboard.type(secretOf('reviewer'))
  await keyboard.press('Enter')
  const isReady = page.getByRole('button', { name: 'Keyboard' })
  await isReady.waitFor()
  await keyboard.press('?')
  await page.getByRole('dialog').waitFor()
  await keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'hidden' })
  // the key that comes while the dialog still closes is the dialog's
  for (let press = 0; press < 3 && (await focused()) !== one; press++) await keyboard.press('j')
  t.equal(await focused(), one)
  await keyboard.press('k')
  await keyboard.press('j')
  await keyboard.press('Enter')
  await page.getByRole('heading', { name: 'files.example.org' }).waitFor()
  await isReady.waitFor()
  await keyboard.press('a')
  t.equal(await focused(), 'once')
  await keyboard.press('Enter')
  await keyboard.press('ArrowDown')
  await keyboard.press('Enter')
  t.equal(await focused(), 'session')
  await keyboard.press('Tab')
  await keyboard.press('Tab')
  await keyboard.type('jk?\nnot today')
  t.same(world.calls, [], 'Enter in the form sends nothing')
  await keyboard.press('Tab')
  t.equal(await focused(), 'deny')
  const outline = await page.evaluate<number>('parseFloat(getComputedStyle(document.activeElement).outlineWidth)')
  t.ok(outline >= 2, 'what has the focus shows it')
  await keyboard.press('Enter')
  await page.getByText('was denied for the session by reviewer').waitFor()
  t.match(world.calls, [['decide', one, { verdict: 'deny', term: 'session', comment: 'jk?\nnot today' }, 'reviewer']])
  t.same(faults, [])
})

t.test('everything works without script', { skip }, async (t) => {
  const world = fullWorld()
  const { url, page } = await visit(t, world, { javaScriptEnabled: false })
  await page.goto(url)
  await page.getByLabel('Control token').fill(secretOf('admin'))
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('link', { name: 'Reload' }).click()
  await page.getByRole('link', { name: 'files.example.org' }).click()
  await page.getByRole('radio', { name: '1 hour' }).press('Enter')
  await page.getByText('Say whether to allow or to deny.').waitFor()
  t.same(world.calls, [], 'Enter answers nothing')
  await page.getByText('Wider than asked').click()
  await page.getByLabel('Every name below').check()
  await page.getByRole('button', { name: 'Allow' }).click()
  t.same(world.calls, [])
  await page.getByRole('button', { name: 'Allow all of this' }).click()
  await page.getByText('was allowed once by admin').waitFor()
  await page.getByRole('link', { name: 'cdn.example.org' }).click()
  await page.getByRole('button', { name: 'Snooze' }).click()
  await page.getByText('cdn.example.org is snoozed').waitFor()
  await page.getByRole('link', { name: 'Grants' }).click()
  await page.getByText('Revoke').first().click()
  await page.getByRole('button', { name: 'Revoke this grant' }).first().click()
  await page.getByRole('link', { name: 'Sessions' }).click()
  await page.getByText('End', { exact: true }).first().click()
  await page.getByRole('button', { name: 'End this session' }).first().click()
  await page.getByRole('link', { name: 'Proposals' }).click()
  await page.getByText('Decide', { exact: true }).click()
  await page.getByRole('button', { name: 'Accept' }).click()
  await page.getByText('none is open').waitFor()
  t.same(world.calls.map(([name]) => name), ['decide', 'snooze', 'revoke', 'end', 'resolveProposal'])
})

t.test('the queue follows by itself, and keeps the place of who uses the keyboard', { skip }, async (t) => {
  const world = fullWorld()
  const { url, page } = await visit(t, world, { name: 'reviewer' })
  await page.goto(url)
  await page.keyboard.press('j')
  await page.keyboard.press('j')
  world.approvals.push(approvalOf({ id: '01JDNEW', host: 'brand-new.example.com', waiting: 1, firstSeenMs: startMs }))
  world.change('approval', '01JDNEW')
  await page.getByRole('link', { name: 'brand-new.example.com' }).waitFor()
  t.match(await page.title(), '(3) Questions')
  await page.locator(`[data-row="${one}"]:focus`).waitFor()
})

t.test('a change takes nothing away from who is typing', { skip }, async (t) => {
  const world = fullWorld()
  const { url, page } = await visit(t, world, { name: 'reviewer' })
  await page.goto(`${url}/approvals/${one}`)
  await page.getByRole('textbox', { name: 'Comment' }).fill('half a thought')
  world.approvals[0] = approvalOf({ version: 2, statedReason: 'to fetch the schema' })
  world.change('approval', one)
  await page.getByText('Something changed.').waitFor()
  t.equal(await page.getByRole('textbox', { name: 'Comment' }).inputValue(), 'half a thought')
  await page.getByRole('button', { name: 'Allow' }).click()
  await page.getByText('changed while you looked at it').waitFor()
  await page.getByText('to fetch the schema').waitFor()
  t.equal(await page.getByRole('textbox', { name: 'Comment' }).inputValue(), 'half a thought')
  t.same(world.calls, [])
})

t.test('looking at every page and following every link changes nothing', { skip }, async (t) => {
  const world = fullWorld()
  const { url, page, faults } = await visit(t, world, { name: 'admin' })
  const before = stateOf(world)
  const seen = new Set<string>()
  const queue = places.map((path) => url + path)
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (seen.has(next)) continue
    seen.add(next)
    await page.goto(next)
    queue.push(...await page.evaluate<string[]>(`[...document.links].map(({ href }) => href.replace(/#.*/, ''))`))
  }
  t.ok(seen.size > 8)
  t.equal(stateOf(world), before)
  t.same(faults, [])
})

t.test('text has contrast enough in light and in dark, and no page is wider than a phone', { skip }, async (t) => {
  for (const options of [{ colorScheme: 'light' }, { colorScheme: 'dark' }] as const) {
    const { url, page } = await visit(t, fullWorld(), { name: 'admin', ...options })
    for (const path of [...places, '/login']) {
      await page.goto(url + path)
      t.same(await lowContrast(page), [], `${options.colorScheme} ${path}`)
    }
    await page.goto(`${url}/approvals/${one}`)
    await page.getByLabel('Always').check()
    await page.getByRole('button', { name: 'Deny' }).click()
    await page.getByRole('button', { name: 'Deny all of this' }).waitFor()
    t.same(await lowContrast(page), [], `${options.colorScheme}, confirming`)
  }
  const { url, page } = await visit(t, fullWorld(), { name: 'admin', viewport: { width: 320, height: 640 } })
  for (const path of [...places, '/login']) {
    await page.goto(url + path)
    t.ok(await page.evaluate<boolean>('document.documentElement.scrollWidth <= innerWidth'), `${path} at 320`)
  }
})
