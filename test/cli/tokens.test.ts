import t from 'tap'
import { run } from './control-run.ts'
import { fakeControl } from './fake-control.ts'

t.test('create prints the secret once', async (t) => {
  const control = await fakeControl(t)
  const { code, out } = await run(['tokens', 'create', '--name', 'ana', '--kind', 'person', '--role', 'reviewer', '--team', 'web', '--team', 'ops', '--ttl', '30d', '--data', control.data])
  t.equal(code, 0)
  t.match(out, /^token 01JT0000000000000000000AAA: person ana, reviewer of web, ops; until .*\nsp_made\n/)
  t.same(control.seen[0]?.body, { kind: 'person', name: 'ana', role: 'reviewer', teams: ['web', 'ops'], ttl: '30d' })
  t.match(JSON.parse((await run(['tokens', 'create', '--name', 'x', '--kind', 'program', '--role', 'viewer', '--json', '--data', control.data])).out), { secret: 'sp_made' })
})

t.test('list and revoke', async (t) => {
  const control = await fakeControl(t)
  t.match((await run(['tokens', 'list', '--data', control.data])).out, /^01JT0000000000000000000AAA +ana +person +reviewer +all +/m)
  t.match(await run(['tokens', 'revoke', '01JT', '--data', control.data]), { code: 0, out: 'token 01JT of ana is revoked\n' })
})

t.test('wrong command lines end with 2, with the word that was meant', async (t) => {
  for (const argv of [['create'], ['create', '--name', 'a'], ['create', '--name', 'a', '--kind', 'robot'], ['create', '--name', 'a', '--kind', 'person'], ['revoke']]) t.equal((await run(['tokens', ...argv])).code, 2, argv.join(' '))
  t.match((await run(['tokens', 'create', '--name', 'a', '--kind', 'person', '--role', 'reviwer'])).err, /did you mean `reviewer`/)
})
