import t from 'tap'
import { readCard, readQuestion } from '../../src/cli/control-wire.ts'
import { cellWidth } from '../../src/cli/cells.ts'
import { frame } from '../../src/cli/watch-frame.ts'
import { KeyReader } from '../../src/cli/watch-keys.ts'
import { step } from '../../src/cli/watch-model.ts'
import { initialState, type WatchEffect, type WatchEvent, type WatchState } from '../../src/cli/watch-state.ts'
import * as fc from '../support/property.ts'
import { approval, ids, nowMs } from './fake-control.ts'

const [pypi, paste, npm] = ids
const json = (id: string, host: string, more: Record<string, unknown> = {}) => approval(id, host, more)
const questions = (...list: Record<string, unknown>[]): WatchEvent => ({ kind: 'questions', questions: list.map(readQuestion) })
const card = (from: Record<string, unknown>, more: Record<string, unknown> = {}): WatchEvent => ({ kind: 'card', card: readCard({ ...from, hints: [], rules: { four_eyes: false, comment_for: [], owner_may: [] }, ...more }) })
const first = json(pypi, 'lib.test')
const second = json(paste, 'paste.example', { first_seen: '2027-03-01T11:59:00.000Z', team: null })

const esc = String.fromCharCode(27)
const coloured = new RegExp(`^${esc}\\[\\d+m|${esc}\\[0m$`, 'g')

interface Walk {
  readonly state: WatchState
  readonly effects: readonly WatchEffect[]
}

/** Events and typed text one after the other; the effects of all. */
function walk(...events: (WatchEvent | string)[]): Walk {
  let state = initialState({ columns: 80, rows: 24 }, nowMs)
  const effects: WatchEffect[] = []
  const take = (event: WatchEvent): void => {
    const next = step(state, event)
    state = next.state
    effects.push(...next.effects)
  }
  for (const event of events) {
    if (typeof event !== 'string') take(event)
    else {
      const reader = new KeyReader()
      for (const key of [...reader.take(event), ...reader.flush()]) take({ kind: 'key', key })
    }
  }
  return { state, effects }
}

const open = [questions(first, second), card(first)]
const answers = ({ effects }: Walk) => effects.filter(({ kind }) => kind === 'answer' || kind === 'snooze')
const text = ({ state }: Walk): string => frame(state, false).join('\n')

t.test('the oldest question is selected and its context is asked for', async (t) => {
  const { state, effects } = walk(questions(second, first))
  t.equal(state.selected, pypi)
  t.same(effects, [{ kind: 'load', id: pypi }])
  t.equal(walk(...open, 'j').state.selected, paste)
  t.equal(walk(...open, '\x1b[B', '\x1b[B', 'k').state.selected, pypi)
})

t.test('no single key decides', async (t) => {
  for (let code = 0; code < 128; code++) t.same(answers(walk(...open, String.fromCharCode(code))), [], `key ${code}`)
})

t.test('Enter alone decides nothing: no term is chosen beforehand', async (t) => {
  const tried = walk(...open, 'a', '\r', '\r')
  t.same(answers(tried), [])
  t.match(text(tried), 'choose how long first')
})

t.test('a term is a letter, or the arrow keys and Enter, and once comes first', async (t) => {
  for (const keys of ['ao', 'a\x1b[B\r', 'aj\r']) t.match(answers(walk(...open, keys)), [{ kind: 'answer', question: { id: pypi, version: 1 }, draft: { verdict: 'allow', term: { kind: 'once' }, who: 'session', subdomains: false, allPorts: false } }], keys)
  t.match(answers(walk(...open, 'ds')), [{ draft: { verdict: 'deny', term: { kind: 'session' } } }])
  t.match(answers(walk(...open, 'a8')), [{ draft: { term: { kind: 'for', duration: '8h' } } }])
  t.match(answers(walk(...open, 'at', '30m', '\r')), [{ draft: { term: { kind: 'for', duration: '30m' } } }])
  t.same(answers(walk(...open, 'at', 'soon', '\r')), [])
  t.equal(walk(...open, 'ao').state.view.kind, 'sending')
  t.same(answers(walk(...open, 'aooo', 'ao')).length, 1, 'one answer is sent once')
})

t.test('what is wide is typed out', async (t) => {
  for (const keys of ['aa', 'abo', 'apo', 'awo', 'dwws']) {
    const asked = walk(...open, keys)
    t.same(answers(asked), [], keys)
    t.match(text(asked), 'Type yes and Enter')
    t.same(answers(walk(...open, keys, '\r')), [], 'Enter alone is no yes')
    t.same(answers(walk(...open, keys, 'y\r')), [])
    t.same(answers(walk(...open, keys, '\x1b[200~yes\x1b[201~', '\r')), [], 'nor is a paste')
    t.equal(answers(walk(...open, keys, 'yes\r')).length, 1, keys)
  }
  t.match(answers(walk(...open, 'abpwo', 'yes\r')), [{ draft: { subdomains: true, allPorts: true, who: 'agent', term: { kind: 'once' } } }])
  t.match(text(walk(...open, 'abpwa')), /allow every session of agent codex, always [^]*: lib\.test and every name below it on\s+every port/)
})

t.test('a team can be chosen only where there is one, names below only of names', async (t) => {
  t.match(walk(...open, 'aww').state.view, { menu: { who: 'team' } })
  t.match(walk(questions(second), card(second), 'aww').state.view, { menu: { who: 'session' } })
  const address = json(pypi, '2001:db8::7')
  t.match(walk(questions(address), card(address), 'ab').state.view, { menu: { subdomains: false } })
  const request = json(pypi, 'lib.test', { kind: 'request', method: 'POST', url: 'https://lib.test/x' })
  t.match(walk(questions(request), card(request), 'abp').state.view, { menu: { subdomains: false, allPorts: false } })
})

t.test('a menu is about the version that was looked at', async (t) => {
  const changed = json(pypi, 'lib.test', { version: 2, stated_reason: 'now something else' })
  const tried = walk(...open, 'a', questions(changed, second), 'o')
  t.same(answers(tried), [])
  t.match(walk(...open, 'a', questions(changed, second)).state, { view: { kind: 'list' }, notice: { text: /changed while you looked/ } })
  t.match(walk(...open, 'aa', 'yes', questions(second)).state, { view: { kind: 'list' }, notice: { text: /no longer open/ } })
  t.same(answers(walk(...open, 'aa', 'yes', questions(changed, second), '\r')), [])
  t.same(answers(walk(...open, questions(changed, second), 'ao')), [], 'a newer version is looked at first')
  t.match(answers(walk(...open, questions(changed, second), card(changed), 'ao')), [{ question: { version: 2 } }])
})

t.test('more attempts are no new version and close nothing', async (t) => {
  t.equal(answers(walk(...open, 'a', questions(json(pypi, 'lib.test', { attempts: 9 }), second), 'o')).length, 1)
})

t.test('a new question moves nothing, and where one goes its neighbour is selected', async (t) => {
  const third = json(npm, 'npm.example', { first_seen: '2027-03-01T11:59:30.000Z' })
  t.equal(walk(...open, 'j', questions(first, second, third)).state.selected, paste)
  t.equal(walk(...open, 'j', questions(first, third)).state.selected, npm)
  t.equal(walk(...open, 'j', questions(first)).state.selected, pypi)
  t.equal(walk(...open, questions()).state.selected, undefined)
  t.same(answers(walk(questions(), 'ao', 'd', 's1', '\r')), [])
})

t.test('a comment is typed or pasted, and the policy may want one', async (t) => {
  t.match(answers(walk(...open, 'dc', 'no\x7fot', '\x1b[200~ a\nq\x1b[201~', '\r', 'o')), [{ draft: { comment: 'not a q' } }])
  const wants = [questions(first), card(first, { rules: { four_eyes: false, comment_for: ['allow'], owner_may: [] } })]
  const tried = walk(...wants, 'ao')
  t.same(answers(tried), [])
  t.match(text(tried), /wants a comment for this \(allow\): c writes one/)
  t.equal(answers(walk(...wants, 'acbecause\ro')).length, 1)
})

t.test('snoozing takes two keys, and what is snoozed stands last', async (t) => {
  t.match(answers(walk(...open, 's1')), [{ kind: 'snooze', duration: '15m', question: { id: pypi } }])
  t.same(answers(walk(...open, 's\r')), [])
  const snoozed = json(pypi, 'lib.test', { snoozed_until: '2027-03-01T12:10:00.000Z' })
  t.same(walk(questions(snoozed, second)).state.questions.map(({ id }) => id), [paste, pypi])
  t.same(walk(questions(snoozed, second), { kind: 'tick', nowMs: nowMs + 3_600_000 }).state.questions.map(({ id }) => id), [pypi, paste])
})

t.test('Escape goes back one step and q leaves', async (t) => {
  t.equal(walk(...open, 'aa', '\x1b').state.view.kind, 'menu')
  t.equal(walk(...open, 'aa', '\x1b', '\x1b').state.view.kind, 'list')
  t.match(walk('q').effects, [{ kind: 'quit' }])
  t.match(walk(...open, 'ac', '\x03').effects.at(-1), { kind: 'quit' })
  t.same(walk(...open, 'ac', 'quit').effects.filter(({ kind }) => kind === 'quit'), [], 'within a comment q is a letter')
})

t.test('where too little can be seen nothing is decided', async (t) => {
  const small: WatchEvent = { kind: 'size', size: { columns: 30, rows: 24 } }
  const tried = walk(...open, small, 'ao')
  t.same(answers(tried), [])
  t.match(text(tried), 'at least 40 x 18')
})

t.test('the frame says what is asked and how to answer', async (t) => {
  const shown = text(walk(questions(first, second), card(first, { hints: [{ code: 'x', text: 'first time here' }] })))
  for (const part of ['2 questions, 2 held', 'live', '> lib.test:443', 'paste.example:443', 'no rule names lib.test', 'first time here', 'agent codex, owner ana, team web', 'a allow  d deny']) t.match(shown, part)
  t.match(text(walk(...open, { kind: 'trouble', message: 'it is gone' })), /NOT LIVE[^]*it is gone/)
  t.match(text(walk(...open, '?')), 'done only when you type yes')
  t.match(text(walk(questions())), 'no question is open')
})

t.test('a long context scrolls', async (t) => {
  const many = Array.from({ length: 40 }, (_, at) => ({ code: 'x', text: `hint ${at}` }))
  const shown = [questions(first), card(first, { hints: many })]
  t.match(text(walk(...shown)), 'more: PgDn')
  t.match(text(walk(...shown, '\x1b[6~', '\x1b[6~', '\x1b[6~', '\x1b[6~', '\x1b[6~', '\x1b[6~')), 'hint 39')
})

t.test('the end of a host that is too long is what is shown', async (t) => {
  const host = `${'login.example.com.'.repeat(6)}evil.test`
  t.match(text(walk(questions(json(pypi, host)))), /> ….*evil\.test:443 /)
})

t.test('every frame fits the screen, whatever the words are, and no word reaches the terminal raw', async (t) => {
  const foreign = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.constantFrom('\x1b[2J', '\u202e', '日本語のテキスト'.repeat(9), '👩‍👩‍👧', 'a\u0300\u0301', '\x9b31m', '\u2028'))
  const keys = fc.array(fc.constantFrom('a', 'd', 's', 'j', 'o', 'b', 'p', 'w', 'c', 'x', 't', '?', 'aa', '\r', '\x1b', '\x1b[B', '\x1b[6~'), { maxLength: 12 })
  fc.assert(fc.property(foreign, foreign, foreign, keys, fc.integer({ min: 1, max: 160 }), fc.integer({ min: 1, max: 60 }), fc.boolean(), (one, two, three, typed, columns, rows, hasColour) => {
    const odd = json(pypi, one, { agent: two, stated_reason: three, user_agent: one, team: two, reason: three, method: one, url: two, session: three })
    const { state } = walk({ kind: 'size', size: { columns, rows } }, questions(odd, second), card(odd, { hints: [{ code: one, text: two }], patterns: [three], unicode_host: one }), ...typed, { kind: 'done', text: three, isBad: true })
    const lines = frame(state, hasColour).map((line) => (hasColour ? line.replace(coloured, '') : line))
    return lines.length === rows && lines.every((line) => cellWidth(line) <= columns && !/[\p{Cc}\u202e\u2028]/u.test(line))
  }))
  t.pass()
})

t.test('without colour there is none, and with it the words are the same', async (t) => {
  const { state } = walk(...open, 'a')
  t.notMatch(frame(state, false).join(''), '\x1b')
  t.same(frame(state, true).map((line) => line.replaceAll(coloured, '').trimEnd()), frame(state, false).map((line) => line.trimEnd()))
})
