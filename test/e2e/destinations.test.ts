// Where records go, seen from outside: an independent receiver decodes what a running proxy sends, agents reach none of
// the places, and what a place that takes nothing costs is seen before it costs anything.
import { MockOtlpServer } from '@elastic/mockotlpserver'
import t from 'tap'
import { startReceiver } from '../audit/receiver.ts'
import { until } from '../audit/fixture.ts'
import { collectorOutage } from '../support/collector-outage.ts'
import { collectorAt, otlpTo } from '../support/collector.ts'
import { plainHosts, plainPolicy, request, startPlain } from '../support/plain-world.ts'
import { rawExchange } from '../support/raw-client.ts'
import { strictOrigin, ok } from '../support/strict-origin.ts'
import { syslogReceiver } from '../support/syslog-receiver.ts'

interface OtlpLogs {
  readonly resourceLogs: readonly { readonly scopeLogs: readonly { readonly logRecords: readonly { readonly body: { readonly stringValue: string }; readonly attributes: readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[] }[] }[] }[]
}

for (const protocol of ['binary', 'json'] as const) {
  t.test(`${protocol}: an independent receiver decodes every record of a running proxy`, async (t) => {
    const requests: OtlpLogs[] = []
    // it knows no gzip; test/audit/exporter.test.ts has that
    const collector = new MockOtlpServer({ services: ['http'], httpHostname: '127.0.0.1', httpPort: 0, logLevel: 'fatal', onLogs: (logs: OtlpLogs) => void requests.push(logs) })
    await collector.start()
    t.teardown(() => collector.close())
    const origin = await strictOrigin(t, () => ok('hello'))
    const proxy = await startPlain(t, origin.port, { change: (s) => ({ ...s, otel: { ...s.otel, exporter: { ...collectorAt(new URL('/v1/logs', collector.httpUrl).href, protocol), compression: 'none' } } }) })
    await rawExchange(proxy.port, request(origin.port, '/one', 'Connection: close\r\n'))
    await rawExchange(proxy.port, 'GET http://denied.test/ HTTP/1.1\r\nHost: denied.test\r\nConnection: close\r\n\r\n')
    await proxy.recorded(({ name, attributes }) => name === 'sallyport.decision' && attributes['server.address'] === 'denied.test')
    const records = proxy.records()
    const received = (): { body: string; attributes: Map<string, unknown> }[] => requests.flatMap(({ resourceLogs }) => resourceLogs.flatMap(({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords.map(({ body, attributes }) => ({ body: body.stringValue, attributes: new Map(attributes.map(({ key, value }) => [key, Object.values(value)[0]])) })))))
    await until(() => received().length >= records.length)
    // what was written meanwhile may have come as well
    const first = received().slice(0, records.length)
    t.strictSame(first.map(({ attributes }) => Number(attributes.get('sallyport.seq'))), records.map(({ seq }) => seq), 'every one, in order')
    t.strictSame(first.map(({ body }) => body), records.map(({ body }) => body))
    t.strictSame(first.map(({ attributes }) => attributes.get('event.name')), records.map(({ name }) => name))
  })
}

t.test('a syslog receiver and a second collector are closed to agents, named at the start, and on the page of readiness', async (t) => {
  const siem = await syslogReceiver(t)
  const second = await startReceiver(t)
  second.answer = () => ({ status: 503 })
  const p = Number(new URL(second.endpoint).port)
  const proxy = await startPlain(t, siem.port, {
    policy: `[network]\nallow_local_binding = true\nallowed_domains = ["127.0.0.1:${siem.port}", "allowed.test:${siem.port}", "127.0.0.1:${p}"]\n`,
    flags: { ops: '127.0.0.1:0' },
    change: (s) => ({ ...s, audit: { ...s.audit, destinations: [
      { name: 'siem', type: 'syslog', filter: {}, host: '127.0.0.1', port: siem.port, transport: 'tcp', tls: {}, format: 'jsonl', facility: 'local0', appName: 'sallyport' },
      otlpTo('second', second.endpoint, { filter: { verdicts: ['deny'] } }),
    ] } }),
  })
  for (const target of [`allowed.test:${siem.port}`, `127.0.0.1:${siem.port}`, `127.0.0.1:${p}`]) {
    t.match(await rawExchange(proxy.port, `GET http://${target}/ HTTP/1.1\r\nHost: ${target}\r\nConnection: close\r\n\r\n`), /^HTTP\/1.1 403/, target)
  }
  const started = await proxy.recorded(({ name }) => name === 'sallyport.process.started')
  t.strictSame(started.attributes['sallyport.exporter.destinations'], [`siem syslog tcp://127.0.0.1:${siem.port}`, `second otlp-http ${second.endpoint} only deny`])
  const ready = async (): Promise<string> => (await fetch(`${proxy.ops}/readyz`)).text()
  await until(async () => (await ready()).includes('records wait in the journal for second'))
  t.match(await ready(), /"status":"ready"/)
  t.match(await (await fetch(`${proxy.ops}/metrics`)).text(), /sallyport_destination_failing\{destination="second"\} 1/)
  t.ok(siem.messages.length > 0, 'the other one is not held up')
  t.notOk(siem.messages.some(({ text }) => text.includes('GET http')), 'no agent spoke to it')
})

t.test('only a journal that is full of what a destination has not taken refuses clients, and readiness names that destination before', async (t) => {
  const origin = await strictOrigin(t, () => ok('hello'))
  const [fine, stuck] = [await startReceiver(t), await startReceiver(t)]
  stuck.answer = () => 'hang'
  const proxy = await startPlain(t, origin.port, {
    policy: plainPolicy(origin.port), hosts: plainHosts, flags: { ops: '127.0.0.1:0' },
    change: (s) => ({ ...s, audit: { ...s.audit, maxBytes: 160_000, segmentBytes: 64 * 1024, destinations: [otlpTo('stuck', stuck.endpoint)] }, otel: { ...s.otel, exporter: collectorAt(fine.endpoint) } }),
  })
  await until(() => fine.accepted.length > 0)
  const warned: string[] = []
  let answer = ''
  while (!answer.startsWith('HTTP/1.1 503')) {
    answer = await rawExchange(proxy.port, request(origin.port, '/one', 'Connection: close\r\n'))
    const { status, checks } = await (await fetch(`${proxy.ops}/readyz`)).json() as { status: string; checks: { name: string; detail?: string }[] }
    if (status === 'ready') warned.push(...checks.flatMap(({ name, detail }) => (name === 'journal' && detail !== undefined ? [detail] : [])))
  }
  t.match(answer, /audit_unavailable/)
  t.match(warned.at(-1), /80 % full .*destination stuck has yet to take \d+/)
  await until(() => fine.accepted.length > 50)
})

t.test('a collector that is away for a while costs no record, no order and no client anything', async (t) => {
  const result = await collectorOutage(t, { warmMs: 300, outageMs: 1200, rate: 200 })
  t.match(result, { lost: 0, outOfOrder: 0, failedRequests: 0 })
  t.ok(result.waiting > 0 && result.duplicates <= 512 && result.records > 200, JSON.stringify(result))
})
