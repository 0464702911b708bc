import t from 'tap'
import { editFor, setNames, type Credentials, type EditContext, type RequestEdit } from '../../src/egress/field-changes.ts'
import { requestFields } from '../../src/egress/field-rules.ts'
import { ProxyError } from '../../src/errors.ts'
import type { FieldChange, FieldValue } from '../../src/policy/decision.ts'

const credentials: Credentials = {
  value: (name) => (name === 'gone' ? Promise.reject(Object.assign(new Error('/secret/path real-secret'), { code: 'ENOENT' })) : Promise.resolve({ token: 'real-secret', empty: '', broken: 'two\r\nlines' }[name] ?? 'other-secret')),
  dummy: (name) => Promise.resolve(name === 'empty' ? '' : `dummy-${name}`),
}
const verified: EditContext = { isVerified: true, isIntercepted: true, credentials }

function change(set: Record<string, FieldValue | string>, strip: readonly string[] = [], rule = 'r'): FieldChange {
  return { rule, strip, set: Object.entries(set).map(([name, value]) => ({ name, value: typeof value === 'string' ? { kind: 'text', text: value } : value })) }
}

function credential(name: string, over: Partial<Extract<FieldValue, { kind: 'credential' }>> = {}): FieldValue {
  return { kind: 'credential', credential: name, prefix: 'Bearer ', placeholder: false, ...over }
}

async function apply(changes: readonly FieldChange[], raw: readonly string[], context = verified): Promise<{ readonly fields: readonly string[]; readonly edit: RequestEdit | undefined }> {
  const edit = await editFor(changes, raw, context)
  return { edit, fields: requestFields('GET', raw, 'o', 'v', edit).fields.slice(2, -2) }
}

async function faultOf(changes: readonly FieldChange[], raw: readonly string[] = [], context = verified): Promise<{ readonly code: string; readonly message: string }> {
  try {
    await editFor(changes, raw, context)
  } catch (error) {
    if (error instanceof ProxyError) return { code: error.code, message: `${error.message} ${error.detail} ${String(error.cause)}` }
    throw error
  }
  return { code: 'none', message: '' }
}

t.test('what CGI takes for a field that is set, stripped or overrides the method goes with it', async (t) => {
  const { fields } = await apply([change({ 'X-Tenant': 'ours' }, ['x_drop'])], ['X_Tenant', 'theirs', 'X-Drop', '1', 'X_HTTP-Method_Override', 'DELETE', 'x_other', '2'])
  t.same(fields, ['x_other', '2', 'X-Tenant', 'ours'])
  t.same((await apply([], ['X_Http_Method', 'DELETE', 'X_Http_Methods', 'a'])).fields, ['X_Http_Methods', 'a'])
})

t.test('what is stripped is gone in every case, and what is set stands once, whatever the client sent', async (t) => {
  const long = `x-${'l'.repeat(100)}`
  const { fields } = await apply([change({ 'X-Tenant': 'ours' }, ['x-drop', long])],
    ['Accept', 'a', 'X-DROP', '1', 'x-tenant', 'theirs', 'X-Tenant', 'theirs', 'x-drop', '2', long, '3', 'Accept', 'b'])
  t.same(fields, ['Accept', 'a', 'Accept', 'b', 'X-Tenant', 'ours'])
})

t.test('strips of all rules come before what any of them sets, so that their order says nothing', async (t) => {
  const one = change({ 'X-A': '1' })
  const two = change({ 'X-B': '2' }, ['x-a'])
  t.same((await apply([one, two], ['x-a', '0'])).fields, ['X-A', '1', 'X-B', '2'])
  t.same((await apply([two, one], ['x-a', '0'])).fields, ['X-B', '2', 'X-A', '1'])
  t.same((await apply([one, one], [])).fields, ['X-A', '1'])
})

t.test('rules that set a field differently, or one that is the proxy\'s, fail the exchange', async (t) => {
  t.match(await faultOf([change({ 'X-A': '1' }), change({ 'x-a': '2' })]), { code: 'obligation_conflict' })
  for (const name of ['Host', 'Content-Length', 'Transfer-Encoding', 'Connection', 'TE', 'Via', 'Expect', 'Upgrade', 'Proxy-Authorization', 'bad name', '', ':path', 'a\r\nb', 'Sec-WebSocket-Key']) {
    t.match(await faultOf([change({ [name]: 'x' })]), { code: 'obligation_conflict' }, name)
  }
  for (const value of ['', ' x', 'x ', 'a\r\nb', 'a\0b', '\u010a', 'a\u010ab']) t.match(await faultOf([change({ 'X-A': value })]), { code: 'obligation_conflict' }, JSON.stringify(value))
})

t.test('method overrides are stripped from what was looked into, and from nothing else', async (t) => {
  const raw = ['X-HTTP-Method-Override', 'DELETE', 'x-method-override', 'PUT', 'X-HTTP-Method', 'PATCH', 'X-HTTP-Methods', 'kept']
  t.same((await apply([], raw)).fields, ['X-HTTP-Methods', 'kept'])
  t.same((await apply([change({ 'X-A': '1' })], raw)).fields, ['X-HTTP-Methods', 'kept', 'X-A', '1'])
  t.same((await apply([], raw, { ...verified, isIntercepted: false })).fields, raw)
})

t.test('a credential is the whole value of its field, behind its prefix, in place of all that the client sent', async (t) => {
  const { fields, edit } = await apply([change({ Authorization: credential('token') })], ['authorization', 'Bearer stolen', 'AUTHORIZATION', 'x', 'accept', 'a'])
  t.same(fields, ['accept', 'a', 'Authorization', 'Bearer real-secret'])
  t.same(edit?.credentials, ['token'])
  t.same((await apply([change({ 'X-Api-Key': credential('token', { prefix: '' }) })], [])).fields, ['X-Api-Key', 'real-secret'])
})

t.test('a placeholder is swapped where the client sent exactly the dummy, and only there', async (t) => {
  const changes = [change({ Authorization: credential('token', { placeholder: true }) })]
  t.same((await apply(changes, ['authorization', 'Bearer dummy-token'])).fields, ['Authorization', 'Bearer real-secret'])
  const untouched = [
    ['authorization', 'Bearer own'], ['authorization', 'dummy-token'], ['authorization', 'bearer dummy-token'], ['authorization', 'Bearer dummy-tokenx'],
    ['authorization', 'Bearer  dummy-token'], ['authorization', 'Bearer dummy-token, x'], ['x-other', 'Bearer dummy-token'],
    ['authorization', 'Bearer dummy-token', 'authorization', 'Bearer own'], ['authorization', 'Bearer dummy-token', 'Authorization', 'Bearer dummy-token'], [],
  ]
  for (const raw of untouched) {
    const { fields, edit } = await apply(changes, raw)
    t.same(fields, raw)
    t.same(edit?.credentials, [])
  }
  t.same((await apply([change({ Authorization: credential('token', { placeholder: true }) }, ['authorization'])], ['authorization', 'Bearer own'])).fields, [], 'a strip beside it takes what is no dummy')
  const two = [...changes, change({ Authorization: credential('second', { placeholder: true }) })]
  t.same((await apply(two, ['authorization', 'Bearer dummy-second'])).fields, ['Authorization', 'Bearer other-secret'])
})

t.test('the dummy as the password of Basic is swapped, its user kept', async (t) => {
  const changes = [change({ Authorization: credential('token', { placeholder: true }) })]
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
  t.same((await apply(changes, ['authorization', basic('me:dummy-token')])).fields, ['Authorization', basic('me:real-secret')])
  t.same((await apply(changes, ['authorization', basic('me:dummy-token').replace('Basic', 'basic')])).fields, ['Authorization', basic('me:real-secret')])
  t.same((await apply(changes, ['authorization', basic(':dummy-token')])).fields, ['Authorization', basic(':real-secret')])
  for (const value of [basic('me:own'), basic('dummy-token'), basic('dummy-token:x'), basic('me:x:dummy-token'), `${basic('me:dummy-token')} `, `Basic ${basic('me:dummy-token').slice(6)}!`, 'Basic ']) {
    t.same((await apply(changes, ['authorization', value])).fields, ['authorization', value], value)
  }
  const own = [change({ 'X-Auth': credential('token', { placeholder: true }) })]
  t.same((await apply(own, ['x-auth', basic('me:dummy-token')])).fields, ['x-auth', basic('me:dummy-token')])
})

t.test('a credential goes over verified TLS alone', async (t) => {
  const whole = [change({ Authorization: credential('token') })]
  const placeholder = [change({ Authorization: credential('token', { placeholder: true }) })]
  const open = { ...verified, isVerified: false }
  t.match(await faultOf(whole, [], open), { code: 'credential_unavailable' })
  t.match(await faultOf(placeholder, ['authorization', 'Bearer dummy-token'], open), { code: 'credential_unavailable' })
  t.same((await apply(placeholder, ['authorization', 'Bearer own'], open)).fields, ['authorization', 'Bearer own'])
})

t.test('a credential that cannot be read fails the exchange, and no message holds a word of it', async (t) => {
  for (const name of ['gone', 'empty', 'broken']) {
    const { code, message } = await faultOf([change({ Authorization: credential(name) })])
    t.equal(code, 'credential_unavailable', name)
    t.notMatch(message, /real-secret|secret\/path|lines/)
    t.match(message, name)
  }
  t.match(await faultOf([change({ Authorization: credential('gone') })]), { message: /`ENOENT`/ })
  t.match(await faultOf([change({ Authorization: credential('empty', { placeholder: true }) })], ['authorization', 'Bearer ']), { code: 'credential_unavailable' })
  t.match(await faultOf([change({ Authorization: credential('token') })], [], { ...verified, credentials: undefined }), { code: 'credential_unavailable' })
})

t.test('the names that rules set are known in lower case, and without changes there is nothing to wait for', async (t) => {
  t.same([...setNames([change({ 'X-A': '1' }), change({ Authorization: credential('token') })])], ['x-a', 'authorization'])
  t.equal(editFor(undefined, [], { ...verified, isIntercepted: false }), undefined)
  t.notOk(editFor([change({ 'X-A': '1' })], [], verified) instanceof Promise)
})
