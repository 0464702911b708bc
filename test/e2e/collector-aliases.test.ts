// What the proxy itself connects to is out of reach by every name that leads to it, or events and messages could be forged.
import t from 'tap'
import { collectorAt } from '../support/collector.ts'
import { startProxy } from '../support/proxy.ts'
import { rawExchange } from '../support/raw-client.ts'
import { ok, strictOrigin } from '../support/strict-origin.ts'
t.test('the collector is closed by another name and by its address', async (t) => {
  const collector = await strictOrigin(t, () => ok('{}'))
  const p = collector.port
  const proxy = await startProxy(t, {
    policy: `[network]\nallow_local_binding = true\nallowed_domains = ["localhost:${p}", "127.0.0.1:${p}", "alias.test:${p}"]\n`,
    hosts: { 'collector.test': '127.0.0.1', 'alias.test': '127.0.0.1' },
    change: (s) => ({ ...s, otel: { ...s.otel, exporter: collectorAt(`http://collector.test:${p}/v1/logs`) } }),
  })
  for (const host of ['alias.test', '127.0.0.1', 'localhost']) {
    const got = await rawExchange(proxy.port, `POST http://${host}:${p}/v1/logs HTTP/1.1\r\nHost: ${host}:${p}\r\nContent-Length: 6\r\nConnection: close\r\n\r\nforged`)
    t.notMatch(got, /^HTTP\/1.1 200/, host)
  }
  t.notOk(collector.requests.some(({ body }) => body === 'forged'), 'forged record at the collector')
})

t.test('receivers of notifications are closed the same way', async (t) => {
  const receiver = await strictOrigin(t, () => ok('{}'))
  const p = receiver.port
  const proxy = await startProxy(t, {
    policy: `[network]\nallow_local_binding = true\nallowed_domains = ["localhost:${p}", "127.0.0.1:${p}", "alias.test:${p}", "hooks.test:${p}"]\n`,
    hosts: { 'hooks.test': '127.0.0.1', 'alias.test': '127.0.0.1' },
    change: (s) => ({ ...s, notifications: { ...s.notifications, slack: { url: `http://hooks.test:${p}/services/x` } } }),
  })
  for (const host of ['hooks.test', 'alias.test', '127.0.0.1', 'localhost']) {
    const got = await rawExchange(proxy.port, `POST http://${host}:${p}/services/x HTTP/1.1\r\nHost: ${host}:${p}\r\nContent-Length: 6\r\nConnection: close\r\n\r\nforged`)
    t.notMatch(got, /^HTTP\/1.1 200/, host)
  }
  t.notOk(receiver.requests.some(({ body }) => body === 'forged'), 'forged message in the channel')
})
