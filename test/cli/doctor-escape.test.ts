// What counts as a way past the proxy, and what is said of it.
import t from 'tap'
import { escapeFindings, type EscapeTargets, proxyFindings, variableFindings } from '../../src/cli/doctor-escape.ts'
import type { Finding } from '../../src/cli/doctor-finding.ts'
import { type FakeNetwork, fakeProbes } from './fake-probes.ts'

const targets: EscapeTargets = {
  host: { host: 'probe.example', port: 443 },
  addresses: [{ host: '192.0.2.1', port: 443 }, { host: '2001:db8::1', port: 443 }],
  metadata: [{ host: '169.254.169.254', port: 80 }],
  nameServers: ['192.0.2.53'],
  systemNameServers: ['10.0.0.2:53'],
  controlSockets: ['/srv/var/control.sock'],
  engineSockets: ['/var/run/docker.sock', '/run/podman/podman.sock'],
}

async function escapes(network: FakeNetwork, found?: string, leak: 'warn' | 'fail' = 'fail'): Promise<Finding[]> {
  return escapeFindings({ probes: fakeProbes(network), targets, leak }, async () => found)
}

const judged = (check: string, env: Record<string, string>): Finding | undefined => variableFindings(env).find(({ name }) => name === check)

t.test('where nothing gets out every check is ok and says what was tried', async (t) => {
  const findings = await escapes({})
  t.same(findings.map(({ name }) => name), ['direct_tcp', 'direct_name', 'direct_ipv6', 'dns_udp', 'dns_tcp', 'dns_system', 'cloud_metadata', 'control_socket', 'engine_sockets'])
  for (const { name, status, remedy } of findings) t.same([status, remedy], [name === 'direct_name' ? 'skip' : 'ok', undefined], name)
  t.match(findings[0]?.detail, /does not get out \(192\.0\.2\.1:443: no answer\)/)
  t.match(findings.find(({ name }) => name === 'control_socket')?.detail, /is not reached \(\/srv\/var\/control\.sock: no answer\)/)
})

t.test('each way out fails its own check alone, and says how to close it', async (t) => {
  const ways: readonly (readonly [string, FakeNetwork])[] = [
    ['direct_tcp', { tcp: ['192.0.2.1:443'] }],
    ['direct_ipv6', { tcp: ['[2001:db8::1]:443'] }],
    ['dns_udp', { dnsUdp: ['192.0.2.53'] }],
    ['dns_tcp', { dnsTcp: ['192.0.2.53'] }],
    ['dns_system', { dnsUdp: ['10.0.0.2:53'] }],
    ['cloud_metadata', { tcp: ['169.254.169.254:80'] }],
    ['control_socket', { socket: ['/srv/var/control.sock'] }],
    ['engine_sockets', { socket: ['/run/podman/podman.sock'] }],
  ]
  for (const [name, network] of ways) {
    const open = (await escapes(network)).filter(({ status }) => status === 'warn' || status === 'fail')
    t.same(open.map((finding) => [finding.name, finding.status]), [[name, 'fail']])
    t.match(open[0]?.detail, /gets out|is reached/)
    t.ok(open[0]?.remedy)
  }
})

t.test('a name that resolves here is tried at its address', async (t) => {
  const findings = await escapes({ tcp: ['198.51.100.7:443'] }, '198.51.100.7')
  t.match(findings.find(({ name }) => name === 'direct_name'), { status: 'fail', detail: /probe\.example gets out \(198\.51\.100\.7:443\)/ })
})

t.test('where the proxy itself must get out, a way out is a warning', async (t) => {
  const findings = await escapes({ tcp: ['192.0.2.1:443'] }, undefined, 'warn')
  t.match(findings[0], { status: 'warn', remedy: /expected where the proxy runs/ })
  const socket = await escapes({ socket: ['/srv/var/control.sock'] }, undefined, 'warn')
  t.match(socket.find(({ name }) => name === 'control_socket'), { status: 'warn', remedy: /run --isolate/ }, 'and its socket one that is never expected for an agent')
})

t.test('the answer of the proxy says whether it gets out', async (t) => {
  const proxy = { host: '192.0.2.9', port: 3128, url: 'http://192.0.2.9:3128', credentials: 's:topsecret', from: 'HTTPS_PROXY' }
  const said = async (status: number | undefined, reason = ''): Promise<Finding | undefined> => {
    const probes = fakeProbes(status === undefined ? {} : { connect: { status, reason, body: '' } })
    const [finding] = await proxyFindings(proxy, targets.host, probes)
    t.same(probes.asked, ['connect 192.0.2.9:3128 probe.example:443 s:topsecret'])
    t.notMatch(JSON.stringify(finding), /topsecret/)
    return finding
  }
  t.match(await said(200, 'OK'), { status: 'ok', detail: /gets out/ })
  t.match(await said(403, 'Denied by policy'), { status: 'ok', detail: /policy refuses probe\.example:443: 403 Denied by policy/ })
  t.match(await said(407), { status: 'fail', detail: /credentials/ })
  t.match(await said(502, 'Bad Gateway'), { status: 'fail', detail: /does not get out/ })
  t.match(await said(undefined), { status: 'fail', detail: /nobody answers/ })
  t.match(await proxyFindings(undefined, targets.host, fakeProbes()), [{ status: 'fail', detail: 'no proxy is known here' }])
})

t.test('NO_PROXY is judged by what goes around the proxy', async (t) => {
  t.match(judged('no_proxy', { no_proxy: '' }), { status: 'ok', detail: 'NO_PROXY is not set' })
  t.match(judged('no_proxy', { no_proxy: 'localhost,127.0.0.1,::1, [::1]' }), { status: 'ok', detail: /this machine only/ })
  t.match(judged('no_proxy', { no_proxy: 'localhost,.corp.example 10.0.0.0/8' }), { status: 'warn', detail: /for \.corp\.example, 10\.0\.0\.0\/8$/ })
  t.match(judged('no_proxy', { no_proxy: '*' }), { status: 'fail', detail: /for nothing/ })
})

t.test('missing and disagreeing variables are said', async (t) => {
  const url = 'http://127.0.0.1:3128'
  t.match(judged('proxy_variables', {}), { status: 'warn', detail: /^HTTPS_PROXY and HTTP_PROXY not set/ })
  t.match(judged('proxy_variables', { http_proxy: url }), { status: 'warn', detail: /^HTTPS_PROXY not set/ })
  t.match(judged('proxy_variables', { HTTPS_PROXY: url }), { status: 'warn', detail: /^HTTP_PROXY not set/ })
  t.match(judged('proxy_variables', { ALL_PROXY: url }), { status: 'ok' })
  t.match(judged('proxy_variables', { HTTPS_PROXY: url, https_proxy: 'http://other:1', http_proxy: url }), { status: 'warn', detail: /of HTTPS_PROXY differ/ })
})
