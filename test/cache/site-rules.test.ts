// How fast a site is asked, and what its robots.txt says, without a site.
import t from 'tap'
import type { Filler } from '../../src/cache/filler.ts'
import { SiteRules } from '../../src/cache/site-rules.ts'

const order = { partition: 'common', source: 'warmed', by: 'ana', team: undefined, pinned: false, approvalId: undefined } as const

interface Site {
  readonly rules: SiteRules
  /** pauses, `ms`, in order */
  readonly paused: number[]
  readonly looked: string[]
}

function siteOf(robots: string, { perSecond = 2, ignoresRobots = false, signal = new AbortController().signal } = {}): Site {
  const paused: number[] = []
  const looked: string[] = []
  let nowMs = 1000
  const look: Filler['look'] = async ({ url }, _maxBytes, read) => {
    looked.push(url)
    return { value: await read({ url, status: 200, content: (async function* () { yield Buffer.from(robots) })() }) }
  }
  const pause = async (ms: number): Promise<void> => {
    paused.push(ms)
    nowMs += ms
  }
  return { paused, looked, rules: new SiteRules({ filler: { look }, clock: { now: () => 0, monotonic: () => nowMs }, order, perSecond, ignoresRobots, signal, pause }) }
}

t.test('each host is asked so often in a second, robots.txt included, and hosts do not wait for each other', async (t) => {
  const { rules, paused, looked } = siteOf('')
  for (const url of ['http://a.test/1', 'http://a.test/2', 'http://b.test/1', 'http://a.test/3']) t.equal(await rules.enter(url), undefined)
  t.strictSame(looked, ['http://a.test/robots.txt', 'http://b.test/robots.txt'])
  // a: robots.txt, 1 and 2 half a second apart; b: robots.txt at once, 1 after half a second; by then a's turn has come
  t.strictSame(paused, [500, 500, 500])
})

t.test('a site may ask for more time, never for less', async (t) => {
  const slow = siteOf('User-agent: *\nCrawl-delay: 3')
  for (const path of ['1', '2', '3']) await slow.rules.enter(`http://a.test/${path}`)
  t.strictSame(slow.paused, [500, 3000, 3000])
  const fast = siteOf('User-agent: *\nCrawl-delay: 0.01')
  for (const path of ['1', '2']) await fast.rules.enter(`http://a.test/${path}`)
  t.strictSame(fast.paused, [500, 500])
})

t.test('robots.txt is read once for each origin, and not at all where it is ignored', async (t) => {
  const heeding = siteOf('User-agent: sallyport\nDisallow: /no')
  t.match(await heeding.rules.enter('http://a.test/no/x'), { reason: /asks not to crawl it/, isFault: false })
  t.equal(await heeding.rules.enter('http://a.test/yes'), undefined)
  t.match(await heeding.rules.enter('http://a.test:8080/no'), { isFault: false })
  t.strictSame(heeding.looked, ['http://a.test/robots.txt', 'http://a.test:8080/robots.txt'])
  const ignoring = siteOf('User-agent: *\nDisallow: /', { ignoresRobots: true })
  t.equal(await ignoring.rules.enter('http://a.test/no'), undefined)
  t.strictSame(ignoring.looked, [])
})

t.test('who is interrupted fetches nothing more', async (t) => {
  const stop = new AbortController()
  const { rules } = siteOf('', { signal: stop.signal })
  stop.abort()
  t.match(await rules.enter('http://a.test/'), { reason: 'interrupted' })
})
