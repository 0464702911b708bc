// Who may give which answer to which question; the cases are data.
import t from 'tap'
import type { Actor, Role } from '../../src/approvals/actor.ts'
import type { Answer, Approval } from '../../src/approvals/approval.ts'
import { ReviewFault } from '../../src/approvals/review-fault.ts'
import { judgeAnswer, maySee, needsSecond, ownerTermsFor } from '../../src/approvals/review-rules.ts'
import type { FirstYes, ReviewRules } from '../../src/approvals/review-rules.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import type { ApprovalRules } from '../../src/policy/policy.ts'
import * as fc from '../support/property.ts'
import { anAnswer, anApproval } from '../support/approvals.ts'

const now = Date.UTC(2026, 0, 1)
const hour = 3_600_000

function rulesOf(text: string): ApprovalRules {
  const { policy, problems } = compilePolicy([{ path: 'p.toml', layer: 'policy', text: `[network.approvals]\n${text}\n` }], new Map())
  if (policy === undefined) throw new Error(JSON.stringify(problems))
  return policy.approvals
}

const plain = rulesOf('')
const delegating = rulesOf('owner_may = ["once", "session", "until"]')
const once = rulesOf('owner_may = ["once"]')
const strict = rulesOf('owner_may = ["once"]\nfour_eyes = ["**.bank.example", "192.0.2.7"]')

const person = (name: string, role: Role, more: Partial<Actor> = {}): Actor => ({ kind: 'person', name, role, teams: [], tokenId: `t-${name}`, mintedBy: 'root', ...more })
const program = (name: string, role: Role, more: Partial<Actor> = {}): Actor => person(name, role, { kind: 'program', ...more })
const local: Actor = { kind: 'local', name: 'root', role: 'admin', teams: [], tokenId: undefined, mintedBy: undefined }
const bea = person('bea', 'reviewer')
const cid = person('cid', 'reviewer')
const ada = person('ada', 'admin')
const bot = program('bot', 'reviewer')

interface Case {
  readonly name: string
  readonly who: Actor
  readonly says?: Partial<Answer>
  readonly of?: Partial<Approval>
  readonly policy?: ApprovalRules
  readonly first?: FirstYes
  /** undefined: it is taken */
  readonly fault?: string
}

const firstBy = (by: string, answer: Partial<Answer> = {}, mintedBy = 'root'): FirstYes => ({ by, mintedBy, answer: anAnswer(answer) })
const soon = now + hour
const bank = { host: 'www.bank.example' }
const mine = { owner: 'bea' }

const page = { kind: 'fetch' as const, url: 'https://www.shop.example/guide' }
const oddPage = { kind: 'fetch' as const, url: `https://www.shop.example/${'0123456789abcdef'.repeat(3)}` }
const fetched = { isFetch: true }

const pages: readonly Case[] = [
  { name: 'a reviewer has a page fetched', who: bea, of: page, says: fetched },
  { name: 'a program has a page fetched whose URL raises no doubt', who: bot, of: page, says: fetched },
  { name: 'a program does not confirm a URL that stands out', who: bot, of: oddPage, says: { ...fetched, isConfirmed: true }, fault: 'scope_not_allowed' },
  { name: 'a person confirms it', who: bea, of: oddPage, says: fetched, fault: 'confirmation_required' },
  { name: 'and then it is taken', who: bea, of: oddPage, says: { ...fetched, isConfirmed: true } },
  { name: 'what is not a page is not fetched', who: bea, says: fetched, fault: 'invalid' },
  { name: 'a fetch is no deny', who: bea, of: page, says: { ...fetched, verdict: 'deny' }, fault: 'invalid' },
  { name: 'a fetch is once', who: bea, of: page, says: { ...fetched, term: 'session' }, fault: 'invalid' },
  { name: 'a fetch is not wide', who: bea, of: page, says: { ...fetched, subdomains: true }, fault: 'invalid' },
  { name: 'a no to a page is not wide', who: bea, of: page, says: { verdict: 'deny', subdomains: true }, fault: 'invalid' },
  { name: 'a yes to live reading may be', who: bea, of: page, says: { subdomains: true } },
  { name: 'reading live for good is not for one session, since no rule comes of it', who: bea, of: page, says: { term: 'always' }, fault: 'invalid' },
  { name: 'it is for those of the agent', who: bea, of: page, says: { term: 'always', who: 'agent' } },
  { name: 'the owner has a page fetched where once is left to owners', who: bea, of: { ...page, ...mine }, policy: once, says: fetched },
  { name: 'the owner does not where nothing is', who: bea, of: { ...page, ...mine }, policy: plain, says: fetched, fault: 'self_approval' },
  { name: 'a program does not fetch for its own agent', who: bot, of: { ...page, owner: 'bot' }, policy: once, says: fetched, fault: 'self_approval' },
  { name: 'the second of two fetches where the first did', who: cid, of: { ...page, ...bank }, policy: strict, first: firstBy('bea', fetched), says: fetched },
  { name: 'the second of two may do less than let it be read live', who: cid, of: { ...page, ...bank }, policy: strict, first: firstBy('bea', { term: 'session' }), says: fetched },
  { name: 'the second of two may not do more than fetch', who: cid, of: { ...page, ...bank }, policy: strict, first: firstBy('bea', fetched), fault: 'scope_not_allowed' },
  { name: 'saying that nothing is fetched is saying nothing of it', who: cid, of: { ...page, ...bank }, policy: strict, first: firstBy('bea'), says: { isFetch: false } },
  { name: 'two people have to want a fetch from a host of four eyes, and no program', who: bot, of: { ...page, ...bank }, policy: strict, says: fetched, fault: 'scope_not_allowed' },
]

const roles: readonly Case[] = [
  { name: 'a reviewer allows', who: bea },
  { name: 'a reviewer denies', who: bea, says: { verdict: 'deny' } },
  { name: 'an admin allows', who: ada },
  { name: 'whoever has the socket allows', who: local },
  { name: 'a program that reviews allows', who: bot },
  { name: 'a viewer does not allow', who: person('vic', 'viewer'), fault: 'not_permitted' },
  { name: 'a viewer does not deny', who: person('vic', 'viewer'), says: { verdict: 'deny' }, fault: 'not_permitted' },
  { name: 'an auditor does not decide', who: person('vic', 'auditor'), fault: 'not_permitted' },
  { name: 'a launcher does not see what is not its own', who: person('vic', 'launcher'), fault: 'not_found' },
  { name: 'a program that only looks does not decide', who: program('p', 'viewer'), fault: 'not_permitted' },
  { name: 'the team of a reviewer is the team of the session', who: person('bea', 'reviewer', { teams: ['red', 'blue'] }), of: { team: 'blue' } },
  { name: 'another team is not there', who: person('bea', 'reviewer', { teams: ['red'] }), of: { team: 'blue' }, fault: 'not_found' },
  { name: 'another team is not there to deny either', who: person('bea', 'reviewer', { teams: ['red'] }), says: { verdict: 'deny' }, of: { team: 'blue' }, fault: 'not_found' },
  { name: 'no team is nobody\'s team', who: person('bea', 'reviewer', { teams: ['red'] }), fault: 'not_found' },
  { name: 'teams do not bound an admin', who: person('ada', 'admin', { teams: ['red'] }), of: { team: 'blue' } },
  { name: 'a reviewer of a team answers for the team', who: person('bea', 'reviewer', { teams: ['red'] }), says: { who: 'team' }, of: { team: 'red' } },
  { name: 'a reviewer of a team does not answer for an agent of all teams', who: person('bea', 'reviewer', { teams: ['red'] }), says: { who: 'agent' }, of: { team: 'red' }, fault: 'scope_not_allowed' },
  { name: 'nor denies it to them', who: person('bea', 'reviewer', { teams: ['red'] }), says: { who: 'agent', verdict: 'deny' }, of: { team: 'red' }, fault: 'scope_not_allowed' },
]

const owners: readonly Case[] = [
  { name: 'an owner does not approve itself', who: bea, of: mine, fault: 'self_approval' },
  { name: 'an admin does not approve itself', who: person('bea', 'admin'), of: mine, fault: 'self_approval' },
  { name: 'the socket does not make it another person', who: local, of: { owner: 'root' }, fault: 'self_approval' },
  { name: 'another spelling of the name is the same person', who: bea, of: { owner: ' Bea' }, fault: 'self_approval' },
  { name: 'the owner of another session approves', who: bea, of: { owner: 'bear' } },
  { name: 'an owner denies itself', who: bea, of: mine, says: { verdict: 'deny' } },
  { name: 'policy leaves the term to owners', who: bea, of: mine, policy: delegating, says: { term: 'session' } },
  { name: 'policy leaves a time to owners', who: bea, of: mine, policy: delegating, says: { term: 'until', untilMs: soon } },
  { name: 'policy leaves the term to somebody alone on a laptop', who: local, of: { owner: 'root' }, policy: delegating },
  { name: 'policy leaves another term to owners', who: bea, of: mine, policy: once, says: { term: 'session' }, fault: 'self_approval' },
  { name: 'nothing for good is left to owners', who: bea, of: mine, policy: delegating, says: { term: 'always' }, fault: 'self_approval' },
  { name: 'a viewer answers for its own session', who: person('bea', 'viewer'), of: mine, policy: once },
  { name: 'a launcher answers for its own session', who: person('bea', 'launcher'), of: mine, policy: once },
  { name: 'a launcher denies for its own session', who: person('bea', 'launcher'), of: mine, policy: once, says: { verdict: 'deny' } },
  { name: 'a launcher does not deny with a term that is not left to it', who: person('bea', 'launcher'), of: mine, policy: once, says: { verdict: 'deny', term: 'session' }, fault: 'not_permitted' },
  { name: 'a launcher denies what is always reviewed', who: person('bea', 'launcher'), of: { ...mine, isReview: true }, policy: once, says: { verdict: 'deny' } },
  { name: 'a viewer does not answer for others', who: person('vic', 'viewer'), of: mine, policy: delegating, fault: 'not_permitted' },
  { name: 'a viewer does not answer wider for its own session', who: person('bea', 'viewer'), of: mine, policy: delegating, says: { subdomains: true }, fault: 'scope_not_allowed' },
  { name: 'a viewer does not deny wider for its own session', who: person('bea', 'viewer'), of: mine, policy: delegating, says: { verdict: 'deny', allPorts: true }, fault: 'scope_not_allowed' },
  { name: 'a reviewer of another team is a mere owner', who: person('bea', 'reviewer', { teams: ['red'] }), of: { ...mine, team: 'blue' }, policy: once },
  { name: 'a mere owner does not answer wider', who: person('bea', 'reviewer', { teams: ['red'] }), of: { ...mine, team: 'blue' }, policy: once, says: { allPorts: true }, fault: 'scope_not_allowed' },
  { name: 'an owner who reviews answers with more ports', who: bea, of: mine, policy: once, says: { allPorts: true } },
  { name: 'an owner does not answer for other sessions', who: ada, of: { owner: 'ada' }, policy: once, says: { who: 'agent' }, fault: 'scope_not_allowed' },
  { name: 'an owner does not answer what is always reviewed', who: bea, of: { ...mine, isReview: true }, policy: delegating, fault: 'self_approval' },
  { name: 'a program does not allow what its own agent asks', who: program('bea', 'reviewer'), of: mine, policy: delegating, fault: 'self_approval' },
  { name: 'a program denies what its own agent asks', who: program('bea', 'reviewer'), of: mine, says: { verdict: 'deny' } },
  { name: 'a launching program does not deny either', who: program('bea', 'launcher'), of: mine, policy: delegating, says: { verdict: 'deny' }, fault: 'not_permitted' },
  { name: 'somebody else answers what is always reviewed', who: cid, of: { ...mine, isReview: true } },
]

const eyes: readonly Case[] = [
  { name: 'the first of two says yes', who: bea, of: bank, policy: strict },
  { name: 'the second says yes', who: cid, of: bank, policy: strict, first: firstBy('bea') },
  { name: 'the same person is not two', who: bea, of: bank, policy: strict, first: firstBy('bea'), fault: 'not_permitted' },
  { name: 'the same person in capitals is not two', who: person('BEA', 'admin'), of: bank, policy: strict, first: firstBy('bea'), fault: 'not_permitted' },
  { name: 'the owner is neither', who: bea, of: { ...bank, ...mine }, policy: strict, fault: 'self_approval' },
  { name: 'the owner is not the second', who: bea, of: { ...bank, ...mine }, policy: strict, first: firstBy('cid'), fault: 'self_approval' },
  { name: 'the owner is neither, behind the socket', who: local, of: { ...bank, owner: 'root' }, policy: strict, fault: 'self_approval' },
  { name: 'who made the token of the first is not the second', who: ada, of: bank, policy: strict, first: firstBy('bea', {}, 'ada'), fault: 'not_permitted' },
  { name: 'whose token the first made is not the second', who: person('cid', 'reviewer', { mintedBy: 'bea' }), of: bank, policy: strict, first: firstBy('bea'), fault: 'not_permitted' },
  { name: 'two tokens of one maker are two people', who: person('cid', 'reviewer', { mintedBy: 'ada' }), of: bank, policy: strict, first: firstBy('bea', {}, 'ada') },
  { name: 'the socket is one of two', who: local, of: bank, policy: strict, first: firstBy('bea', {}, 'ada') },
  { name: 'the socket is not the second where its user made the token', who: local, of: bank, policy: strict, first: firstBy('bea', {}, 'root'), fault: 'not_permitted' },
  { name: 'a program is not the first', who: bot, of: bank, policy: strict, fault: 'scope_not_allowed' },
  { name: 'a program is not the second', who: bot, of: bank, policy: strict, first: firstBy('bea'), fault: 'scope_not_allowed' },
  { name: 'one deny is enough', who: bea, of: bank, policy: strict, says: { verdict: 'deny' } },
  { name: 'a deny after the first yes is enough', who: cid, of: bank, policy: strict, says: { verdict: 'deny' }, first: firstBy('bea') },
  { name: 'who said yes may think again', who: bea, of: bank, policy: strict, says: { verdict: 'deny' }, first: firstBy('bea') },
  { name: 'a program denies', who: bot, of: bank, policy: strict, says: { verdict: 'deny' } },
  { name: 'a viewer is neither', who: person('vic', 'viewer'), of: bank, policy: strict, first: firstBy('bea'), fault: 'not_permitted' },
  { name: 'a host below is among what a wide answer opens', who: bea, of: { host: 'bank.example', owner: 'bea' }, policy: rulesOf('owner_may = ["once"]\nfour_eyes = ["www.bank.example"]'), says: { subdomains: true }, fault: 'self_approval' },
  { name: 'an address may need two', who: bot, of: { host: '192.0.2.7' }, policy: strict, fault: 'scope_not_allowed' },
  { name: 'the second allows less: once', who: cid, of: bank, policy: strict, first: firstBy('bea', { term: 'session' }) },
  { name: 'the second allows no longer term', who: cid, of: bank, policy: strict, says: { term: 'session' }, first: firstBy('bea'), fault: 'scope_not_allowed' },
  { name: 'the second allows no session where a time was set', who: cid, of: bank, policy: strict, says: { term: 'session' }, first: firstBy('bea', { term: 'until', untilMs: soon }), fault: 'scope_not_allowed' },
  { name: 'the second allows no later time', who: cid, of: bank, policy: strict, says: { term: 'until', untilMs: soon + 1 }, first: firstBy('bea', { term: 'until', untilMs: soon }), fault: 'scope_not_allowed' },
  { name: 'the second allows the same time', who: cid, of: bank, policy: strict, says: { term: 'until', untilMs: soon }, first: firstBy('bea', { term: 'until', untilMs: soon }) },
  { name: 'the second allows a time where it was for good', who: cid, of: bank, policy: strict, says: { term: 'until', untilMs: soon }, first: firstBy('bea', { term: 'always' }) },
  { name: 'the second allows no names below', who: cid, of: bank, policy: strict, says: { subdomains: true }, first: firstBy('bea'), fault: 'scope_not_allowed' },
  { name: 'the second allows no other ports', who: cid, of: bank, policy: strict, says: { allPorts: true }, first: firstBy('bea'), fault: 'scope_not_allowed' },
  { name: 'the second allows no other sessions', who: cid, of: bank, policy: strict, says: { who: 'agent' }, first: firstBy('bea'), fault: 'scope_not_allowed' },
  { name: 'the agent is not less than the team', who: cid, of: { ...bank, team: 'red' }, policy: strict, says: { who: 'agent' }, first: firstBy('bea', { who: 'team' }), fault: 'scope_not_allowed' },
  { name: 'the session is less than the team', who: cid, of: { ...bank, team: 'red' }, policy: strict, first: firstBy('bea', { who: 'team' }) },
]

const scopes: readonly Case[] = [
  { name: 'a reviewer answers for good', who: bea, says: { term: 'always' } },
  { name: 'a reviewer answers for names below', who: bea, says: { subdomains: true } },
  { name: 'a reviewer answers for all ports', who: bea, says: { allPorts: true } },
  { name: 'a reviewer answers for an agent', who: bea, says: { who: 'agent' } },
  { name: 'a team that is not there is not answered for', who: bea, says: { who: 'team' }, fault: 'invalid' },
  { name: 'a program answers for a session', who: bot, says: { term: 'session' } },
  { name: 'a program denies for a session', who: bot, says: { term: 'session', verdict: 'deny' } },
  ...(['allow', 'deny'] as const).flatMap((verdict): Case[] => [
    { name: `a program does not ${verdict} until a time`, who: bot, says: { verdict, term: 'until', untilMs: soon }, fault: 'scope_not_allowed' },
    { name: `a program does not ${verdict} for good`, who: bot, says: { verdict, term: 'always' }, fault: 'scope_not_allowed' },
    { name: `a program does not ${verdict} names below`, who: bot, says: { verdict, subdomains: true }, fault: 'scope_not_allowed' },
    { name: `a program does not ${verdict} all ports`, who: bot, says: { verdict, allPorts: true }, fault: 'scope_not_allowed' },
    { name: `a program does not ${verdict} for an agent`, who: program('bot', 'admin'), says: { verdict, who: 'agent' }, fault: 'scope_not_allowed' },
    { name: `nobody is to ${verdict} what is below a public suffix`, who: ada, of: { host: 'github.io' }, says: { verdict, subdomains: true }, fault: 'scope_not_allowed' },
    { name: `nobody is to ${verdict} what is below an address`, who: ada, of: { host: '192.0.2.7' }, says: { verdict, subdomains: true }, fault: 'scope_not_allowed' },
    { name: `nobody is to ${verdict} what is below a v6 address`, who: ada, of: { host: '2001:db8::7' }, says: { verdict, subdomains: true }, fault: 'scope_not_allowed' },
    { name: `until needs a time to ${verdict}`, who: ada, says: { verdict, term: 'until' }, fault: 'invalid' },
    { name: `until a time that is now is no time to ${verdict}`, who: ada, says: { verdict, term: 'until', untilMs: now }, fault: 'invalid' },
    { name: `a time that is none is no time to ${verdict}`, who: ada, says: { verdict, term: 'until', untilMs: NaN }, fault: 'invalid' },
  ]),
  { name: 'a public suffix itself is a host', who: bea, of: { host: 'github.io' } },
  { name: 'a single label is not answered for what is below', who: ada, of: { host: 'internal' }, says: { subdomains: true }, fault: 'scope_not_allowed' },
  { name: 'the latest time', who: bea, says: { term: 'until', untilMs: now + 24 * hour } },
  { name: 'beyond the latest time', who: bea, says: { term: 'until', untilMs: now + 24 * hour + 1 }, fault: 'scope_not_allowed' },
  { name: 'a time with another term', who: bea, says: { term: 'once', untilMs: soon }, fault: 'invalid' },
  { name: 'one request has no names below', who: bea, of: { kind: 'request' }, says: { subdomains: true }, fault: 'invalid' },
  { name: 'one request has no other port', who: bea, of: { kind: 'request' }, says: { allPorts: true }, fault: 'invalid' },
  { name: 'one request', who: bea, of: { kind: 'request' } },
]

const comments: readonly Case[] = ([
  ['allow', {}, true],
  ['allow', { verdict: 'deny' }, false],
  ['deny', { verdict: 'deny' }, true],
  ['deny', {}, false],
  ['until', { term: 'until', untilMs: soon }, true],
  ['until', { term: 'session' }, false],
  ['always', { term: 'always' }, true],
  ['always', { term: 'always', verdict: 'deny' }, true],
  ['always', { term: 'until', untilMs: soon }, false],
  ['wide', { subdomains: true }, true],
  ['wide', { allPorts: true }, true],
  ['wide', { who: 'agent' }, true],
  ['wide', { term: 'always' }, false],
] as const).flatMap(([each, says, needed]): Case[] => {
  const policy = rulesOf(`comment_required = ["${each}"]`)
  const name = `${each} and ${JSON.stringify(says)}`
  return [
    { name: `${name} without a comment`, who: bea, says, policy, ...(needed ? { fault: 'comment_required' } : {}) },
    { name: `${name} with white space`, who: bea, says: { ...says, comment: ' \n' }, policy, ...(needed ? { fault: 'comment_required' } : {}) },
    { name: `${name} with a comment`, who: bea, says: { ...says, comment: 'seen' }, policy },
  ]
})

function rulesFor({ policy = plain, first }: Pick<Case, 'policy' | 'first'>): ReviewRules {
  return { policy, nowMs: now, maxUntilMs: now + 24 * hour, first }
}

function faultOf(work: () => void): string | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    if (error instanceof ReviewFault) return error.code
    throw error
  }
}

for (const [group, cases] of Object.entries({ pages, roles, owners, 'four eyes': eyes, scopes, comments })) {
  t.test(group, async (t) => {
    for (const each of cases) {
      const fault = faultOf(() => judgeAnswer(anApproval(each.of), anAnswer(each.says), each.who, rulesFor(each)))
      t.equal(fault, each.fault, each.name)
    }
  })
}

t.test('a second person is needed for an allow of four eyes, until one said yes', async (t) => {
  const none = rulesFor({ policy: strict })
  t.equal(needsSecond(anApproval(bank), anAnswer(), none), true)
  t.equal(needsSecond(anApproval(bank), anAnswer(), rulesFor({ policy: strict, first: firstBy('bea') })), false)
  t.equal(needsSecond(anApproval(bank), anAnswer({ verdict: 'deny' }), none), false)
  t.equal(needsSecond(anApproval(), anAnswer(), none), false)
  t.equal(needsSecond(anApproval({ host: 'bank.example' }), anAnswer(), rulesFor({ policy: rulesOf('four_eyes = ["www.bank.example"]') })), false)
  t.equal(needsSecond(anApproval({ host: 'bank.example' }), anAnswer({ subdomains: true }), rulesFor({ policy: rulesOf('four_eyes = ["www.bank.example"]') })), true)
})

t.test('an owner is shown the terms that it may give, and none where it may not answer', async (t) => {
  t.same(ownerTermsFor(anApproval(), delegating), ['once', 'session', 'until'])
  t.same(ownerTermsFor(anApproval({ isReview: true }), delegating), [])
  t.same(ownerTermsFor(anApproval(bank), strict), [])
  t.same(ownerTermsFor(anApproval(), strict), ['once'])
  t.same(ownerTermsFor(anApproval({ host: 'bank.example' }), rulesOf('owner_may = ["once"]\nfour_eyes = ["www.bank.example"]')), ['once'], 'a name below does not count for the name')
})

t.test('who may see is who may know: teams, owners, launchers', async (t) => {
  const teams = ['red']
  const seen = (actor: Actor, of: Partial<Approval> = {}): boolean => maySee(anApproval(of), actor)
  t.equal(seen(person('v', 'viewer')), true)
  t.equal(seen(person('v', 'viewer', { teams }), { team: 'blue' }), false)
  t.equal(seen(person('v', 'auditor', { teams }), { team: 'red' }), true)
  t.equal(seen(person('v', 'reviewer', { teams }), { team: 'blue', owner: 'v' }), true)
  t.equal(seen(person('v', 'launcher')), false)
  t.equal(seen(person('v', 'launcher'), { owner: 'v' }), true)
  t.equal(seen(local, { team: 'blue' }), true)
})

const anyActor: fc.Arbitrary<Actor> = fc.record({
  kind: fc.constantFrom('person', 'program', 'local'),
  name: fc.constantFrom('bea', 'Bea', 'cid', 'root'),
  role: fc.constantFrom('viewer', 'auditor', 'launcher', 'reviewer', 'admin'),
  teams: fc.constantFrom<readonly string[]>([], ['red'], ['blue']),
  tokenId: fc.constant('t'),
  mintedBy: fc.constantFrom('bea', 'root', undefined),
})
const anyAnswer: fc.Arbitrary<Answer> = fc.record({
  verdict: fc.constantFrom('allow', 'deny'),
  term: fc.constantFrom('once', 'session', 'until', 'always'),
  untilMs: fc.constantFrom(undefined, soon, now - 1, now + 48 * hour),
  subdomains: fc.boolean(),
  allPorts: fc.boolean(),
  who: fc.constantFrom('session', 'agent', 'team'),
  comment: fc.constant(undefined),
  version: fc.constant(1),
})
const anyApproval = fc.record({
  host: fc.constantFrom('www.bank.example', 'shop.example', 'github.io', '192.0.2.7'),
  owner: fc.constantFrom('bea', 'cid', undefined),
  team: fc.constantFrom('red', 'blue', undefined),
  isReview: fc.boolean(),
})

t.test('whatever is asked, no answer that is taken breaks what always holds', async (t) => {
  fc.assert(fc.property(anyApproval, anyAnswer, anyActor, fc.constantFrom(undefined, 'bea', 'cid'), fc.constantFrom(plain, delegating, strict), (of, answer, actor, firstName, policy) => {
    const first = firstName === undefined ? undefined : firstBy(firstName, { term: 'session' })
    const approval = anApproval(of)
    if (faultOf(() => judgeAnswer(approval, answer, actor, rulesFor(first === undefined ? { policy } : { policy, first }))) !== undefined) return true
    const owns = approval.owner?.toLowerCase() === actor.name.toLowerCase()
    if (!maySee(approval, actor)) return false
    if (actor.kind === 'program' && (answer.who !== 'session' || answer.subdomains || answer.allPorts || answer.term === 'until' || answer.term === 'always')) return false
    if (answer.term === 'until' && !(answer.untilMs === soon)) return false
    if (answer.subdomains && ['github.io', '192.0.2.7'].includes(approval.host)) return false
    if (answer.verdict === 'deny') return true
    if (owns) return actor.kind !== 'program' && !approval.isReview && policy.ownerMay.includes(answer.term) && !(policy === strict && approval.host !== 'shop.example' && approval.host !== 'github.io')
    return actor.kind === 'local' || actor.role === 'reviewer' || actor.role === 'admin'
  }), { numRuns: 5000 })
  t.pass('no counterexample')
})
