// Message framing as an attack, on one leg: every payload is either refused or reaches the origin as one valid
// request of its own. The origin reads as RFC 9112 says; what it complains about was smuggled. The number of allowed
// decisions is the number of requests that the origin sees.
import type { Test } from 'tap'
import { payloads } from './framing-payloads.ts'
import type { Leg } from './legs.ts'
import { fieldOf } from './strict-origin.ts'
import { readAnswers } from './wire-client.ts'

export function checkFraming(t: Test, leg: Leg): void {
  t.test(`${leg.name}: every payload is refused or reaches the origin clean, and the decisions are the origin requests`, (t) => checkPayloads(t, leg))
  t.test(`${leg.name}: nothing behind a refused request is served, however it arrives`, (t) => checkBehind(t, leg))
}

async function checkPayloads(t: Test, leg: Leg): Promise<void> {
  const { origin, host, root, open, request, decisions } = await leg.start(t, {
    change: (settings) => ({ ...settings, limits: { ...settings.limits, headersTimeoutMs: 1000 } }),
  })
  const sent = payloads.filter((each) => each.leg === undefined || each.leg === leg.name)
  const results = await Promise.all(sent.map(async ({ bytes }, at) => {
    const client = await open()
    client.send(bytes.replaceAll('ROOT', root).replaceAll('HOST', host).replaceAll('PATH', `p${at}.`))
    await client.until((received) => /^HTTP\/1\.1 [2-5][^]*\r\n\r\n/.test(received))
    // whatever the proxy still holds of the payload would be a part of this
    if (!client.isClosed) client.send(request('/end', 'Connection: close\r\n'))
    return client.closed()
  }))
  for (const [at, { what, outcome }] of sent.entries()) {
    const upstream = origin.requests.filter(({ target }) => target.includes(`/p${at}.`))
    const [first] = readAnswers(results[at] ?? '')
    if (outcome === 'clean') {
      t.ok(first?.status === 200 && upstream.length === 1, `${what}: clean (${first?.status}, ${upstream.length} upstream)`)
    } else if (outcome === 'refused') {
      t.ok(first !== undefined && first.status >= 400 && upstream.length === 0, `${what}: refused (${first?.status}, ${upstream.length} upstream)`)
      t.equal(first?.fields.get('connection'), 'close', `${what}: and the connection closes`)
    } else {
      t.ok(first === undefined || first.status === 400 || first.status === 431, `${what}: cut (${first?.status})`)
      t.equal(upstream.length, 0, `${what}: nothing whole upstream`)
    }
  }
  t.strictSame(origin.complaints, [], 'nothing dirty')
  t.notOk(origin.requests.some(({ target }) => target.startsWith('/smuggled')), 'nothing smuggled')
  const cut = sent.filter(({ outcome }) => outcome === 'cut').length
  const allowed = decisions().filter((record) => record.attributes['network.policy.decision'] === 'allow')
  t.equal(allowed.length - cut, origin.requests.length, 'decisions = origin requests')
  t.ok(origin.requests.every((each) => fieldOf(each, 'host') === host), 'Host is always the authority that was decided')
  const trailers = origin.requests.find(({ target }) => target.startsWith(`/p${sent.findIndex(({ what }) => what === 'trailers')}.`))
  t.equal(trailers?.body, 'hello')
  t.notMatch(origin.received(), /evil\.test|X-T:|Authorization/i, 'and no trailer passes')
}

async function checkBehind(t: Test, leg: Leg): Promise<void> {
  const { origin, host, root, open, say, request, denied, decisions } = await leg.start(t)
  const behind = request('/behind')
  const refused = [
    request('/', 'Transfer-Encoding: gzip, chunked\r\n', 'POST', '0\r\n\r\n'),
    `POST ${root}/ HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 5\r\n\r\nhello`,
    request('/', 'Connection: content-length\r\nContent-Length: 5\r\n', 'POST', 'hello'),
    `GET http://u:p@${host}/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    // origin-form on the listener, absolute-form of another authority inside
    leg.name === 'plain' ? `GET /x HTTP/1.1\r\nHost: ${host}\r\n\r\n` : `GET https://evil.test/x HTTP/1.1\r\nHost: evil.test\r\n\r\n`,
  ]
  for (const bytes of refused) {
    t.equal(readAnswers(await say(bytes + behind)).length, 1, 'in one segment')
    const client = await open()
    client.send(bytes)
    await client.until((received) => received.includes('\r\n\r\n'))
    client.send(behind)
    t.equal(readAnswers(await client.closed()).length, 1, 'in another segment')
  }
  // refused before its body has come: what follows the body is never a request
  const client = await open()
  client.send(denied('Content-Length: 10\r\n', 'POST', 'hello'))
  await client.until((received) => received.includes('\r\n\r\n'))
  client.send(`hello${behind}`)
  const answers = readAnswers(await client.closed())
  t.equal(answers.length, 1)
  t.match(answers[0]?.fields.get('connection'), 'close')
  t.equal(origin.requests.length, 0)
  t.equal(decisions().filter((record) => record.attributes['network.policy.decision'] === 'allow').length, 0)
}
