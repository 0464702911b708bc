// Questions about pages that are not in the web cache, on the command line and on the screen of `watch`.
import t from 'tap'
import { nextStep } from '../../src/cli/next-step.ts'
import { readCard, readQuestion } from '../../src/cli/control-wire.ts'
import { frame } from '../../src/cli/watch-frame.ts'
import { KeyReader } from '../../src/cli/watch-keys.ts'
import { step } from '../../src/cli/watch-model.ts'
import { initialState, type WatchEffect, type WatchEvent, type WatchState } from '../../src/cli/watch-state.ts'
import { answering, run, runOn } from './control-run.ts'
import { approval, fakeControl, ids, nowMs } from './fake-control.ts'

const [page, host, other] = ids
const url = 'https://docs.test/guide?lang=en'
const long = `https://docs.test/${'a'.repeat(400)}`
const doubts = ['it is 410 characters long']
const pageOf = (more: Record<string, unknown> = {}): Record<string, unknown> => approval(page, 'docs.test', { kind: 'fetch', method: 'GET', url, reason: 'only cached content may be read from docs.test, and this is not in the cache, so it needs an approval', ...more })
const posted = (control: { readonly seen: readonly { readonly method: string; readonly body: unknown }[] }): unknown[] => control.seen.filter(({ method }) => method === 'POST').map(({ body }) => body)

t.test('allow --fetch has a page fetched, with nothing else asked', async (t) => {
  const control = await fakeControl(t, [pageOf()])
  const { code, out } = await run(['approvals', 'allow', 'docs.test', '--fetch', '--comment', 'for the build', '--data', control.data])
  t.equal(code, 0)
  t.same(posted(control), [{ verdict: 'allow', fetch: true, comment: 'for the build' }])
  t.equal(out, 'a page of docs.test:443 for codex was fetched into the cache by bo, and nothing was opened: for the build\n')
})

t.test('what was fetched, and what is missing of it, is said', async (t) => {
  const decision = { verdict: 'allow', term: 'once', by: 'bo', second_by: null, at: '2027-03-01T11:00:00.000Z', comment: null, grant_id: null, is_fetched: true, fetch_note: 'the page leads on to https://x.test/\u202e, which was not fetched: no (denied_by_rule)' }
  const control = await fakeControl(t, [pageOf({ state: 'allowed', decision })])
  const shown = (await run(['approvals', 'show', page, '--data', control.data])).out
  t.match(shown, 'a page of docs.test:443 for codex was fetched into the cache by bo, and nothing was opened; but the page leads on to https://x.test/\\u{202e}, which was not fetched')
  t.match((await run(['approvals', 'list', '--state', 'all', '--data', control.data])).out, 'fetched by bo')
})

t.test('a URL that stands out is looked at twice: on a terminal by typing yes, elsewhere with --confirmed', async (t) => {
  const control = await fakeControl(t, [pageOf({ url: long })])
  control.cards.set(page, { doubts })
  const refused = await run(['approvals', 'allow', page, '--fetch', '--data', control.data])
  t.match(refused, { code: 2, err: /look at the whole URL, and add --confirmed/ })
  t.ok(refused.err.includes(long), 'all of it')
  t.same(posted(control), [])
  const no = answering('y')
  t.match(await runOn(no, ['allow', page, '--fetch', '--data', control.data]), { code: 1, err: 'nothing was decided\n' })
  t.ok(no.asked[0]?.includes(long))
  t.match(no.asked[0], /it is 410 characters long/)
  t.same(posted(control), [])
  t.match(await runOn(answering('yes'), ['allow', page, '--fetch', '--data', control.data]), { code: 0 })
  t.same(posted(control), [{ verdict: 'allow', fetch: true, confirmed: true }])
})

t.test('--confirmed is enough where nobody can be asked', async (t) => {
  const control = await fakeControl(t, [pageOf({ url: long })])
  control.cards.set(page, { doubts })
  t.equal((await run(['approvals', 'allow', page, '--fetch', '--confirmed', '--data', control.data])).code, 0)
  t.same(posted(control), [{ verdict: 'allow', fetch: true, confirmed: true }])
})

t.test('--fetch goes with a yes to one page and with nothing wider', async (t) => {
  const control = await fakeControl(t, [pageOf(), approval(host, 'lib.test'), pageOf({ id: other, host: 'two.test', first_yes: { by: 'ana', at: '2027-03-01T11:00:00.000Z', is_fetch: true } })])
  for (const [argv, why] of [
    [['allow', page, '--fetch', '--session'], /give one of --fetch/],
    [['allow', page, '--fetch', '--agent', '--yes'], /opens nothing/],
    [['deny', page, '--fetch'], /goes with allow/],
    [['allow', page, '--confirmed'], /goes with --fetch/],
    [['allow', host, '--fetch'], /only a page that is not in the web cache/],
    [['deny', page, '--subdomains', '--yes'], /one page/],
    [['allow', other, '--session'], /ana said yes to fetching/],
  ] as const) t.match(await run(['approvals', ...argv, '--data', control.data]), { code: 2, err: why }, argv.join(' '))
  t.same(posted(control), [])
})

t.test('list and show give the kind and the whole URL, and who has it fetched', async (t) => {
  const control = await fakeControl(t, [pageOf({ url: long, fetching: { by: 'mara', since: '2027-03-01T11:59:56.000Z' } })])
  control.cards.set(page, { doubts })
  const list = (await run(['approvals', 'list', '--data', control.data])).out
  t.ok(list.includes(`\n  GET ${long}\n`))
  t.match(list, 'page of docs.test:443')
  t.match(list, 'being fetched by mara')
  const shown = (await run(['approvals', 'show', page, '--data', control.data])).out
  t.ok(shown.includes(`GET ${long}; not in the cache`))
  for (const text of ['of the URL: it is 410 characters long', 'mara has the page fetched', '[--fetch | --session']) t.match(shown, text)
})

t.test('watch without a terminal prints the whole URL and the command that fetches it', async (t) => {
  const control = await fakeControl(t, [pageOf({ url: long })], { hasStream: false })
  const stop = new AbortController()
  const lines: string[] = []
  const io = { cwd: '/', isTty: false, signal: stop.signal, err: () => undefined, out: (text: string) => {
    lines.push(text)
    stop.abort()
  } }
  const { approvalsCommand } = await import('../../src/cli/approvals.ts')
  await approvalsCommand({ env: {} }, { terminal: { ...answering(''), isInteractive: false } }).run(['watch', '--data', control.data], io)
  t.ok(lines[0]?.includes(`asks for the page ${long}`))
  t.match(lines[0], `sallyport approvals allow ${page} --fetch`)
})

interface Walk {
  readonly state: WatchState
  readonly effects: readonly WatchEffect[]
}

function walk(json: Record<string, unknown>, more: Record<string, unknown>, keys: string): Walk {
  let state = initialState({ columns: 80, rows: 24 }, nowMs)
  const effects: WatchEffect[] = []
  const card = readCard({ ...json, hints: [], rules: { four_eyes: false, comment_for: [], owner_may: [] }, ...more })
  const reader = new KeyReader()
  const events: WatchEvent[] = [{ kind: 'questions', questions: [readQuestion(json)] }, { kind: 'card', card }, ...[...reader.take(keys), ...reader.flush()].map((key) => ({ kind: 'key', key }) as const)]
  for (const event of events) {
    const next = step(state, event)
    state = next.state
    effects.push(...next.effects)
  }
  return { state, effects: effects.filter(({ kind }) => kind === 'answer') }
}

const text = ({ state }: Walk): string => frame(state, false).join('\n')

t.test('in watch f opens the menu on the line that fetches, and Enter fetches', async (t) => {
  const opened = walk(pageOf(), {}, 'f')
  t.same(opened.effects, [], 'no single key decides')
  t.match(text(opened), /> f {2}fetch this page once into the cache; nothing is opened/)
  t.match(text(opened), /let the host be read live, once/)
  t.match(walk(pageOf(), {}, 'f\r').effects, [{ draft: { verdict: 'allow', term: { kind: 'fetch', isConfirmed: false }, who: 'session' } }])
  t.match(walk(pageOf(), {}, 'as').effects, [{ draft: { verdict: 'allow', term: { kind: 'session' } } }], 'and live reading is there too')
  t.same(walk(approval(host, 'lib.test'), {}, 'f\r').effects, [], 'of a host there is nothing to fetch')
  t.match(text(walk(pageOf(), {}, '')), 'docs.test/guide?lang=en')
  t.notMatch(text(walk(pageOf(), {}, 'd')), /fetch this page|every name below/, 'a no is to the page')
})

t.test('in watch a URL that stands out is fetched only when yes is typed with all of it on the screen', async (t) => {
  const asked = walk(pageOf({ url: long }), { doubts }, 'f\r')
  t.same(asked.effects, [])
  t.ok(text(asked).replaceAll(/\s+/g, '').includes(long))
  t.match(walk(pageOf({ url: long }), { doubts }, 'f\ryes\r').effects, [{ draft: { term: { kind: 'fetch', isConfirmed: true } } }])
  const tooLong = walk(pageOf({ url: `https://docs.test/${'b'.repeat(2000)}` }), { doubts }, 'f\ryes\r')
  t.same(tooLong.effects, [])
  t.match(text(walk(pageOf({ url: `https://docs.test/${'b'.repeat(2000)}` }), { doubts }, 'f\r')), 'longer than this screen')
})

t.test('the next step of a miss names what puts the page there, that of its question how to fetch it', async (t) => {
  t.match(nextStep('cache_miss'), '`sallyport cache add URL`')
  t.match(nextStep('approval_required', { approval: page, isPage: true }), `\`sallyport approvals allow ${page} --fetch\``)
  t.notMatch(nextStep('approval_required', { approval: page }), '--fetch')
})
