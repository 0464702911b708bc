import t from 'tap'
import { pageLink, slackMessage, slackSummary, typeOf, webhookBody } from '../../src/approvals/notification.ts'
import * as fc from '../support/property.ts'
import { answered, question } from './notification-receiver.ts'

const onceYes = { verdict: 'allow', term: 'once', untilMs: undefined, subdomains: false, allPorts: false, who: 'session', comment: undefined, version: 1 } as const
const pageUrl = 'https://review.corp.example/sp'
const textOf = (message: string): string => {
  const parsed: { text: string } = JSON.parse(message)
  return parsed.text
}

t.test('what happened is told by the state of the question', async (t) => {
  t.equal(typeOf(question), 'approval.requested')
  t.equal(typeOf({ ...question, firstYes: { by: 'bob', mintedBy: undefined, atMs: 0, answer: onceYes } }), 'approval.first_yes')
  t.equal(typeOf(answered), 'approval.decided')
  t.equal(typeOf({ ...answered, state: 'denied' }), 'approval.decided')
  t.equal(typeOf({ ...question, state: 'expired' }), 'approval.expired')
  t.equal(typeOf({ ...question, state: 'withdrawn' }), 'approval.withdrawn')
})

t.test('a webhook is told who asks for which host and why, and what was answered', async (t) => {
  const body: unknown = JSON.parse(webhookBody('d-1', answered, pageUrl, Date.UTC(2026, 0, 2)))
  t.match(body, {
    id: 'd-1', type: 'approval.decided', time: '2026-01-02T00:00:00.000Z', url: `${pageUrl}/approvals/${question.id}`,
    approval: {
      id: question.id, state: 'allowed', agent: 'codex', owner: 'alice@example.com', host: 'files.example.net', port: 443, method: 'POST',
      decision: { verdict: 'allow', term: 'session', by: 'bob', second_by: null, comment: 'the spring report' }, first_yes: null,
    },
  })
})

t.test('neither message holds a path, a query, or what the agent says it is for', async (t) => {
  for (const approval of [question, answered]) {
    for (const message of [webhookBody('d', approval, pageUrl, 0), slackMessage(approval, pageUrl)]) t.notMatch(message, /s3cret/)
  }
  t.match(webhookBody('d', question, pageUrl, 0), 'allows POST /..., and unknown hosts')
})

t.test('a link leads to the page of the question and carries no answer; without a base there is none', async (t) => {
  t.equal(pageLink(question, pageUrl), `${pageUrl}/approvals/${question.id}`)
  t.match(textOf(slackMessage(question, pageUrl)), `<${pageUrl}/approvals/${question.id}|Open it>`)
  t.match(webhookBody('d', question, undefined, 0), '"url":null')
  t.notMatch(slackMessage(question, undefined), /https?:/)
})

t.test('the channel reads one line for each thing that happens', async (t) => {
  const first = (approval: typeof question): string | undefined => textOf(slackMessage(approval, undefined)).split('\n')[0]
  t.equal(first(question), '*Approval wanted*: `codex` of `alice@example.com` asks for `files.example.net:443`')
  t.equal(first({ ...question, firstYes: { by: 'bob', mintedBy: undefined, atMs: 0, answer: onceYes } }), '`bob` would allow `codex` of `alice@example.com` `files.example.net:443`: a second person has to agree')
  t.equal(first(answered), '`bob` allowed `codex` of `alice@example.com` `files.example.net:443` (session)')
  t.equal(first({ ...question, state: 'expired' }), 'Nobody answered `codex` of `alice@example.com` about `files.example.net:443`')
  t.match(first({ ...question, advisory: true }), /advisory session/)
})

t.test('an agent whose name is a mention or a link pings nobody and links nowhere', async (t) => {
  for (const agent of ['<!channel>', '<!here|here>', '<@U123>', '<https://evil.example|Approve>', '@channel', '`<!channel>`', '*bold* & more', 'a\n<!everyone>', '\u202e@here']) {
    const text = textOf(slackMessage({ ...question, agent, owner: agent }, undefined))
    t.notMatch(text, /<[!@#h]/, agent)
    // outside of code there is no word of the agent's
    t.notMatch(text.replaceAll(/`[^`]*`/g, ''), /channel|here|bold|everyone|evil|U123|&/, agent)
  }
})

t.test('no text in any field opens mark-up, leaves its code or reaches a terminal', async () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), fc.constantFrom('<!channel>', '`', '\n', '&', '|', '>'), (text, evil) => {
      const foreign = `${text}${evil}${text}`
      const approval = { ...answered, agent: foreign, owner: foreign, session: foreign, reason: foreign, decision: answered.decision && { ...answered.decision, by: foreign, comment: foreign } }
      const messages = [slackMessage(approval, undefined), slackMessage({ ...approval, state: 'pending', decision: undefined }, undefined), slackSummary(foreign, foreign, { questions: 1, answers: 1, hosts: ['a:1'] }, undefined)]
      return messages.map(textOf).every((shown) => {
        const outside = shown.replaceAll(/`[^`\n]*`/g, '')
        return !/[<>`]/.test(outside) && !/[<>]/.test(shown) && !/[^\P{Cc}\n]/u.test(shown)
      })
    }),
  )
})

t.test('a summary counts what it sums up and names the first ten hosts', async (t) => {
  const hosts = Array.from({ length: 12 }, (_, at) => `h${at}.example:443`)
  const text = textOf(slackSummary('s1', 'codex', { questions: 12, answers: 1, hosts }, pageUrl))
  t.match(text, /^`codex` in session `s1`: 12 more questions and 1 more answer within a minute, about `h0\.example:443`, .*`h9\.example:443` and 2 others\n/)
  t.match(text, `<${pageUrl}/approvals|Open the queue>`)
})

t.test('names of any length make a message of bounded size', async (t) => {
  const long = '\u202e'.repeat(100_000)
  const approval = { ...answered, agent: long, owner: long, team: long, session: long, host: long, method: long, reason: long }
  t.ok(webhookBody('d', approval, pageUrl, 0).length < 50_000)
  t.ok(slackMessage(approval, pageUrl).length < 40_000)
})

t.test('a page that is not in the cache is named as one, and its fetch is no opening', async (t) => {
  const page = { ...question, kind: 'fetch', method: 'GET', url: 'https://files.example.net/secret?q=1' } as const
  const decision = { verdict: 'allow', term: 'once', by: 'bob', secondBy: undefined, atMs: 0, comment: undefined, grantId: undefined } as const
  t.match(textOf(slackMessage(page, pageUrl)), /asks for a page that is not in the web cache, of `files\.example\.net:443`/)
  t.match(textOf(slackMessage({ ...page, firstYes: { by: 'bob', mintedBy: undefined, atMs: 0, answer: { ...onceYes, isFetch: true } } }, pageUrl)), /`bob` would have a page .* fetched/)
  const fetched = { ...page, state: 'allowed', decision: { ...decision, isFetched: true } } as const
  t.match(textOf(slackMessage(fetched, pageUrl)), /`bob` had a page .* fetched for .*; nothing was opened/)
  t.match(textOf(slackMessage({ ...page, state: 'allowed', decision }, pageUrl)), /`files\.example\.net:443`, read live \(once\)/)
  t.match(JSON.parse(webhookBody('d-1', fetched, pageUrl, 0)), { approval: { kind: 'fetch', decision: { is_fetched: true } } })
  for (const text of [slackMessage(fetched, pageUrl), webhookBody('d-1', fetched, pageUrl, 0)]) t.notMatch(text, /secret/)
})
