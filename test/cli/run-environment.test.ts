import { spawnSync } from 'node:child_process'
import t from 'tap'
import { caVariables, childEnvironment, exportLines, setVariables, type Surroundings, telemetryHosts } from '../../src/cli/run-environment.ts'
import * as fc from '../support/property.ts'

const open: Surroundings = { proxyUrl: 'http://s1:tok@127.0.0.1:3128', noProxy: 'localhost,127.0.0.1,::1', ca: undefined, isIsolated: false, only: undefined }
const isolated: Surroundings = { ...open, proxyUrl: 'http://127.0.0.1:3128', noProxy: '', isIsolated: true }

t.test('whatever stood there before, both spellings of a variable say the same', async (t) => {
  const name = fc.constantFrom('http_proxy', 'HTTP_PROXY', 'Https_Proxy', 'https_proxy', 'NO_PROXY', 'no_proxy', 'No_Proxy', 'ALL_PROXY', 'all_proxy', 'npm_config_proxy', 'NPM_CONFIG_PROXY', 'grpc_proxy', 'FTP_PROXY', 'Ws_Proxy')
  await fc.assert(fc.asyncProperty(fc.dictionary(name, fc.constant('http://elsewhere:1')), fc.boolean(), async (before, isIsolated) => {
    const env = childEnvironment(before, isIsolated ? isolated : open)
    t.notMatch(JSON.stringify(env), /elsewhere/)
    for (const [upper, value] of Object.entries(env)) {
      const lower = env[upper.toLowerCase()]
      if (lower !== undefined) t.equal(lower, value, upper)
    }
  }))
})

t.test('credentials stand where a client wants them, and nowhere in isolation', async (t) => {
  t.match(setVariables({}, open), { HTTPS_PROXY: open.proxyUrl, CLOUDSDK_PROXY_ADDRESS: '127.0.0.1', CLOUDSDK_PROXY_PORT: '3128', CLOUDSDK_PROXY_USERNAME: 's1', CLOUDSDK_PROXY_PASSWORD: 'tok' })
  t.notMatch(JSON.stringify(setVariables({}, isolated)), /tok|USERNAME/)
  t.equal(setVariables({}, isolated)['NO_PROXY'], '', 'nothing goes past the bridge')
})

t.test('the JVM is told in its own words, beside what it was told before', async (t) => {
  t.equal(setVariables({ JAVA_TOOL_OPTIONS: '-Xmx1g' }, open)['JAVA_TOOL_OPTIONS'], '-Xmx1g -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=3128 -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=3128 -Dhttp.nonProxyHosts=localhost|127.0.0.1|[::1] -Djdk.http.auth.tunneling.disabledSchemes=')
  t.match(setVariables({}, { ...isolated, proxyUrl: 'http://[::1]' })['JAVA_TOOL_OPTIONS'], /^-Dhttp\.proxyHost=::1 -Dhttp\.proxyPort=80 .*-Dhttp\.nonProxyHosts= /)
})

t.test('in isolation nothing names a socket, a screen or a setting of ours', async (t) => {
  const before = Object.fromEntries(['SSH_AUTH_SOCK', 'DBUS_SESSION_BUS_ADDRESS', 'DOCKER_HOST', 'XDG_RUNTIME_DIR', 'DISPLAY', 'TMUX', 'TMPDIR', 'SALLYPORT_DATA', 'SALLYPORT_TOKEN', 'VSCODE_IPC_HOOK_CLI', 'NOTIFY_SOCKET', 'WSL_INTEROP'].map((name) => [name, '/somewhere']))
  t.notMatch(JSON.stringify(childEnvironment({ ...before, KEPT: 'yes' }, isolated)), /somewhere/)
  t.equal(childEnvironment({ KEPT: 'yes' }, isolated)['KEPT'], 'yes')
  const outside = childEnvironment(before, open)
  t.equal(outside['SSH_AUTH_SOCK'], '/somewhere')
  t.notOk('SALLYPORT_TOKEN' in outside, 'which would let the command answer its own questions')
  t.equal(childEnvironment(before, { ...open, isIsolated: true, dataDir: '/srv/var' })['SALLYPORT_DATA'], '/srv/var', 'where doctor looks whether it is hidden')
  t.notOk('SALLYPORT_DATA' in childEnvironment({}, { ...open, dataDir: '/srv/var' }))
})

t.test('nobody names the control token back into the environment', async (t) => {
  t.notOk('SALLYPORT_TOKEN' in childEnvironment({ SALLYPORT_TOKEN: 'sp_x' }, { ...open, only: ['SALLYPORT_TOKEN'] }))
  t.strictSame(Object.keys(childEnvironment({ SSH_AUTH_SOCK: '/x' }, { ...isolated, only: ['SSH_AUTH_SOCK'] })).includes('SSH_AUTH_SOCK'), false)
})

t.test('every certificate variable is set where there is an authority, to what its program does with a file', async (t) => {
  const ca = { bundle: '/ca/bundle.pem', root: '/ca/root.pem', merged: new Map([['/corp.pem', '/ca/merged-0.pem']]) }
  const env = setVariables({ SSL_CERT_FILE: '/corp.pem', DENO_CERT: '/corp.pem', CURL_CA_BUNDLE: '/gone.pem' }, { ...open, ca })
  for (const name of caVariables) t.match(env[name], /^\/ca\//, name)
  t.match(env, { SSL_CERT_FILE: '/ca/merged-0.pem', DENO_CERT: '/ca/merged-0.pem', CURL_CA_BUNDLE: '/ca/bundle.pem', NODE_EXTRA_CA_CERTS: '/ca/root.pem', AWS_CA_BUNDLE: '/ca/bundle.pem' })
  for (const name of caVariables) t.notOk(name in setVariables({}, open), name)
})

t.test('the collector of the command is spoken to directly, by its host alone', async (t) => {
  t.strictSame(telemetryHosts({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'https://otel.corp.example:4318/v1', OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: 'http://[2001:db8::1]:4318', OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://localhost:4318',
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'https://otel.corp.example', OTEL_EXPORTER_OTLP_HEADERS: 'x=https://not.one',
  }), ['otel.corp.example', '2001:db8::1'])
  for (const value of ['', 'nonsense', 'http://*', 'http://a,b', undefined]) t.strictSame(telemetryHosts({ OTEL_EXPORTER_OTLP_ENDPOINT: value }), [], String(value))
})

t.test('lines for a shell say what is in them, whatever that is', async (t) => {
  for (const value of ["it's", '$(id)', '`id`', 'a\nb', '', '\\', '"', "'; exit 3; '"]) {
    const { stdout, status } = spawnSync('sh', ['-c', `${exportLines({ SHOWN: value })}printf %s "$SHOWN"`], { encoding: 'utf8' })
    t.equal(status, 0)
    t.equal(stdout, value)
  }
})
