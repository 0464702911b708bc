import t from 'tap'
import { run } from './control-run.ts'
import { fakeControl } from './fake-control.ts'

const grant = (id: string, more: Record<string, unknown> = {}) => ({
  id, approval_id: '01JQ', verdict: 'allow', term: 'session', who: 'session', holder: 's1', scheme: 'https', host: 'lib.test', subdomains: false, port: 443, request_digest: null,
  by: 'ana', created_at: '2027-03-01T11:00:00.000Z', expires_at: null, ...more,
})

t.test('list says where, for whom and until when', async (t) => {
  const control = await fakeControl(t)
  t.match((await run(['grants', 'list', '--data', control.data])).out, 'there is no grant')
  control.grants.push(grant('01JGAAA1'), grant('01JGAAA2', { subdomains: true, port: null, who: 'agent', holder: 'codex\u001b', expires_at: '2999-01-01T00:00:00.000Z' }), grant('01JGBBB1', { request_digest: 'x', host: '2001:db8::7' }))
  const { out } = await run(['grants', 'list', '--data', control.data])
  t.match(out, /^01JGAAA1 +allow +lib\.test:443 +session s1 +session +with the session +ana$/m)
  t.match(out, /^01JGAAA2 +allow +lib\.test and below, all ports +agent codex\\x1b +session +in \d+ d +ana$/m)
  t.match(out, /one request to \[2001:db8::7\]:443/)
  t.same(JSON.parse((await run(['grants', 'list', '--json', '--data', control.data])).out), { items: control.grants })
})

t.test('revoke takes back the one that is meant', async (t) => {
  const control = await fakeControl(t)
  control.grants.push(grant('01JGAAA1'), grant('01JGAAA2'), grant('01JGBBB1'))
  t.match(await run(['grants', 'revoke', '01jgb', '--data', control.data]), { code: 0, out: 'grant 01JGBBB1 is revoked: lib.test:443 for session s1\n' })
  t.match(await run(['grants', 'revoke', '01JGA', '--data', control.data]), { code: 1, err: /means 2 grants; name one by its id:\n {2}01JGAAA1 .*\n {2}01JGAAA2/ })
  t.match(await run(['grants', 'revoke', '01JGC', '--data', control.data]), { code: 1, err: /no grant whose id begins/ })
  t.equal(control.seen.filter(({ method }) => method === 'POST').length, 1)
})
