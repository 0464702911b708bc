// How an answer is read, when it is wide, and what the form offers to whom.
import t from 'tap'
import type { GrantTerm } from '../../../src/policy/grant.ts'
import { answerForm, emptyDraft, isWide, needsComment, readAnswer } from '../../../src/control/pages/answer-form.ts'
import { FormFields } from '../../../src/control/pages/form-fields.ts'
import type { View } from '../../../src/control/pages/layout.ts'
import { actorOf, approvalOf, cardOf, startMs } from '../../support/review-pages.ts'

const read = (text: string): ReturnType<typeof readAnswer> => readAnswer(new FormFields(text), startMs)
const viewOf = (actor = actorOf('reviewer')): View => ({ actor, nowMs: startMs, csrf: 'c', assets: { style: 's', script: 'j', find: () => undefined } })

t.test('an answer is no wider than the form says', async (t) => {
  t.same(read('verdict=allow&term=once&version=3'),
    { verdict: 'allow', term: 'once', untilMs: undefined, subdomains: false, allPorts: false, who: 'session', comment: undefined, version: 3 })
  t.same(read('verdict=deny&term=always&version=3&subdomains=yes&all_ports=yes&who=team&comment=+no%0D%0Away+'),
    { verdict: 'deny', term: 'always', untilMs: undefined, subdomains: true, allPorts: true, who: 'team', comment: 'no\nway', version: 3 })
})

t.test('a time is counted from now, or is the moment that was confirmed', async (t) => {
  t.match(read('verdict=allow&term=until%3A8h&version=1'), { term: 'until', untilMs: startMs + 8 * 3_600_000 })
  t.match(read(`verdict=allow&term=until&until=${startMs + 5}&version=1`), { term: 'until', untilMs: startMs + 5 })
})

t.test('what is not complete or not known is invalid', async (t) => {
  for (const text of [
    '', 'verdict=allow', 'verdict=maybe&term=once&version=1', 'verdict=allow&term=ever&version=1', 'verdict=allow&term=once', 'verdict=allow&term=once&version=-1',
    'verdict=allow&term=once&version=1e3', 'verdict=allow&term=until%3A9y&version=1', 'verdict=allow&term=until&version=1', 'verdict=allow&term=once&version=1&who=everybody',
    `verdict=allow&term=once&version=1&comment=${'x'.repeat(1001)}`,
  ]) t.throws(() => read(text), { code: 'invalid' }, text.slice(0, 60))
})

t.test('always, names below, other ports and other sessions are wide', async (t) => {
  const narrow = read('verdict=allow&term=session&version=1')
  t.notOk(isWide(narrow))
  t.notOk(isWide({ ...narrow, term: 'until' }))
  for (const over of [{ term: 'always' }, { subdomains: true }, { allPorts: true }, { who: 'agent' }, { who: 'team' }] as const) t.ok(isWide({ ...narrow, ...over }))
})

t.test('policy asks for a comment by verdict, by term or by width', async (t) => {
  const answer = read('verdict=allow&term=until%3A1h&version=1')
  const needs = (commentFor: string[], over = {}): boolean =>
    needsComment({ ...answer, ...over }, cardOf(approvalOf(), { rules: { fourEyes: false, commentFor, ownerMay: [] } }))
  t.notOk(needs([]))
  t.notOk(needs(['deny', 'always', 'wide']))
  t.ok(needs(['allow']))
  t.ok(needs(['until']))
  t.ok(needs(['wide'], { who: 'agent' }))
})

t.test('the default button of the form says neither allow nor deny, and nothing wide is chosen', async (t) => {
  const form = answerForm(viewOf(), cardOf(approvalOf()), emptyDraft).toString()
  t.match(form, /^\s*<form[^>]*>\s*<button type="submit" name="verdict" value="" hidden><\/button>/)
  t.same([...form.matchAll(/value="([^"]*)" checked/g)].map(([, value]) => value), ['once', 'session'])
  t.notMatch(form, /autofocus/)
})

t.test('an owner is offered what policy delegates, and nothing where it must be reviewed', async (t) => {
  const terms = (over: { ownerMay: GrantTerm[]; isReview?: boolean; fourEyes?: boolean }): string[] => {
    const { ownerMay, isReview = false, fourEyes = false } = over
    const form = answerForm(viewOf(actorOf('viewer', 'mara')), cardOf(approvalOf({ isReview }), { rules: { fourEyes, commentFor: [], ownerMay } }), emptyDraft).toString()
    return [...form.matchAll(/name="term" value="([^"]*)"/g)].map(([, value = '']) => value)
  }
  t.same(terms({ ownerMay: ['once', 'session'] }), ['once', 'session'])
  t.same(terms({ ownerMay: ['once'], isReview: true }), [])
  t.same(terms({ ownerMay: ['once'], fourEyes: true }), [])
  t.match(answerForm(viewOf(actorOf('reviewer', 'mara')), cardOf(approvalOf()), emptyDraft).toString(), 'somebody else has to answer')
})

t.test('an address has no names below it, and one request has no other ports', async (t) => {
  t.notMatch(answerForm(viewOf(), cardOf(approvalOf({ host: '192.0.2.7' })), emptyDraft).toString(), 'name="subdomains"')
  t.notMatch(answerForm(viewOf(), cardOf(approvalOf({ kind: 'request' })), emptyDraft).toString(), /name="(?:subdomains|all_ports)"/)
})

t.test('a comment that every answer needs is required by the form itself', async (t) => {
  const form = (commentFor: string[]): string => answerForm(viewOf(), cardOf(approvalOf(), { rules: { fourEyes: false, commentFor, ownerMay: [] } }), emptyDraft).toString()
  t.match(form(['allow', 'deny']), /<textarea[^>]* required>/)
  t.match(form(['allow', 'wide']), '(required to allow, for anything wider than asked)')
  t.notMatch(form(['allow', 'wide']), /<textarea[^>]* required>/)
})
