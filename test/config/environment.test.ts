// The environment that must not be run in, and what clients would read from it.
import t from 'tap'
import { environmentDangers, processEnvironment, proxyVariables, wantsColour } from '../../src/config/environment.ts'

t.test('an ordinary environment holds no danger', async (t) => {
  const env = { NODE_TLS_REJECT_UNAUTHORIZED: '1', SSLKEYLOGFILE: '', NODE_OPTIONS: '--max-old-space-size=512 --title=--tls-keylogger', NODE_EXTRA_CA_CERTS: '/x' }
  t.same(environmentDangers(env, ['--enable-source-maps']), [])
  t.same(environmentDangers({}, []), [])
})

t.test('each danger is one sentence that names it and what to do', async (t) => {
  const only = (env: Record<string, string>, execArgv: readonly string[] = []): string => {
    const dangers = environmentDangers(env, execArgv)
    t.equal(dangers.length, 1)
    return dangers[0] ?? ''
  }
  t.match(only({ NODE_TLS_REJECT_UNAUTHORIZED: '0' }), /^NODE_TLS_REJECT_UNAUTHORIZED=0 .*unset it/)
  t.match(only({ SSLKEYLOGFILE: '/tmp/keys' }), /^SSLKEYLOGFILE .*unset it/)
  t.match(only({ NODE_OPTIONS: '--tls-keylog=/tmp/keys' }), /^--tls-keylog in NODE_OPTIONS/)
  t.match(only({ NODE_OPTIONS: '--no-warnings --tls-keylog /tmp/keys' }), /NODE_OPTIONS/)
  t.match(only({ NODE_OPTIONS: '"--tls-keylog=/tmp/a b"' }), /NODE_OPTIONS/)
  t.match(only({ NODE_OPTIONS: '"--tls-\\keylog=/tmp/a"' }), /NODE_OPTIONS/)
  t.match(only({ NODE_OPTIONS: '--tls_keylog=/tmp/keys' }), /NODE_OPTIONS/)
  t.match(only({ NODE_OPTIONS: '--insecure-http-parser' }), /malformed HTTP/)
  t.match(only({}, ['--tls-keylog=/tmp/keys']), /^node's option --tls-keylog/)
})

t.test('all dangers are told at once', async (t) => {
  const env = { NODE_TLS_REJECT_UNAUTHORIZED: '0', SSLKEYLOGFILE: 'x', NODE_OPTIONS: '--tls-keylog=x' }
  t.equal(environmentDangers(env, ['--tls-keylog=y']).length, 4)
})

t.test('clients read lower case before upper case, and ALL_PROXY last', async (t) => {
  t.same(proxyVariables({}), { https: undefined, http: undefined, noProxy: undefined, disagreeing: [] })
  const found = proxyVariables({ HTTPS_PROXY: 'http://a:1', https_proxy: 'http://b:1', ALL_PROXY: 'http://c:1', NO_PROXY: 'x', no_proxy: 'x' })
  t.same(found.https, { name: 'https_proxy', value: 'http://b:1' })
  t.same(found.http, { name: 'ALL_PROXY', value: 'http://c:1' })
  t.same(found.disagreeing, ['HTTPS_PROXY'])
})

t.test('NO_COLOR and a dumb terminal ask for plain text', async (t) => {
  t.ok(wantsColour({ NO_COLOR: '' }))
  t.notOk(wantsColour({ NO_COLOR: '1' }))
  t.notOk(wantsColour({ TERM: 'dumb' }))
})

t.test('the environment that is handed on is that of the process', async (t) => {
  t.equal(processEnvironment()['PATH'], process.env['PATH'])
})
