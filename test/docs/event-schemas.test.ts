// docs/schemas/events.json: what docs/events.md and the builders say, and what every record fits, those of a running
// proxy among them.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { eventNames } from '../../src/audit/event.ts'
import { connectBytes, headOf, requestBytes, sent, startAsking } from '../support/ask-world.ts'
import { eventSchemas, requiredOf, schemaCheck } from '../support/event-schemas.ts'
import { attributesOf, exampleOf, fullestOf, someValue } from '../support/events-page.ts'
import { ok, strictOrigin } from '../support/strict-origin.ts'

const written: unknown = JSON.parse(readFileSync(join(import.meta.dirname, '../../docs/schemas/events.json'), 'utf8'))
const faults = schemaCheck(eventSchemas(true))

t.test('the file is what the page and the builders say: `node test/scripts/write-event-schemas.ts` writes it', async (t) => {
  t.strictSame(written, JSON.parse(JSON.stringify(eventSchemas())))
})

t.test('the example of every event fits, and so does one with every attribute of the page in it', async (t) => {
  for (const name of eventNames) {
    const closedSets = Object.fromEntries(attributesOf(name).map((attribute) => [attribute.name, exampleOf(name).attributes[attribute.name] ?? wordOf(name, attribute.name)]))
    t.strictSame(faults(exampleOf(name)), [], name)
    t.strictSame(faults(fullestOf(name, (attribute) => (closedSets[attribute.name] as string | undefined) ?? someValue(attribute))), [], `${name}, with everything`)
    const required = requiredOf(name)
    const bare = { ...exampleOf(name), attributes: Object.fromEntries(Object.entries(exampleOf(name).attributes).filter(([attribute]) => required.includes(attribute))) }
    t.strictSame(faults(bare), [], `${name}, with what it always has`)
  }
})

t.test('what does not fit is told', async (t) => {
  const good = exampleOf('sallyport.decision')
  const { 'sallyport.code': _, ...without } = good.attributes
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    [{ ...good, attributes: { ...good.attributes, 'sallyport.colour': 'red' } }, /additional properties .*sallyport\.colour/],
    [{ ...good, attributes: { ...good.attributes, 'server.port': '80' } }, /server\.port must be number,null/],
    [{ ...good, attributes: { ...good.attributes, 'network.policy.decision': 'maybe' } }, /network\.policy\.decision must be equal to one of/],
    [{ ...good, attributes: without }, /required property 'sallyport\.code'/],
    [{ ...good, uid: 'short' }, /uid must match pattern/],
    [{ ...good, hash: good.hash.slice(1) }, /hash must match pattern/],
    [{ ...good, severity: 'DEBUG' }, /severity must be equal to one of/],
    [{ ...good, more: 1 }, /additional properties .*more/],
  ]
  for (const [record, fault] of wrong) t.match(faults(record).join('\n'), fault)
  const lenient = schemaCheck(written as Record<string, unknown>)
  t.strictSame(lenient({ ...good, attributes: { ...good.attributes, 'sallyport.colour': 'red' } }), [], 'a consumer ignores what it does not know')
  t.strictSame(lenient({ ...good, name: 'sallyport.of.tomorrow', attributes: {} }), [], 'and events that it does not know')
})

t.test('every record that a running proxy writes fits', async (t) => {
  const origin = await strictOrigin(t, () => ok('hello'))
  const { proxy, control } = await startAsking(t, origin.port, { flags: { control: '127.0.0.1:0' } })
  const session = await control.createSession({ agent: 'codex', owner: 'alice', team: 'web' })
  const asked = await sent(t, proxy, requestBytes(`one.ask.test:${origin.port}`, '/page?token=x', { fields: session.line }))
  await control.decide('one.ask.test', { verdict: 'allow', term: 'session', comment: 'fine' })
  t.match(await headOf(asked), /^HTTP\/1\.1 200/)
  const refused = await sent(t, proxy, connectBytes('denied.test:443', session.line))
  t.match(await headOf(refused), /^HTTP\/1\.1 403/)
  const broken = await sent(t, proxy, 'GET http://bob:secret@/ HTTP/1.1\r\nHost: x\r\n\r\n')
  t.match(await headOf(broken), /^HTTP\/1\.1 4/)
  await control.endSession(session.id)
  await proxy.recorded(({ name }) => name === 'sallyport.session.ended')
  await proxy.stop(true)
  const records = proxy.records()
  for (const record of records) t.strictSame(faults(record), [], `${record.seq} ${record.name}`)
  const seen = new Set(records.map(({ name }) => name))
  for (const name of ['decision', 'exchange.ended', 'approval.requested', 'approval.decided', 'grant.created', 'grant.used', 'session.started', 'session.ended', 'control.called', 'policy.loaded', 'process.started', 'process.stopped']) {
    t.ok(seen.has(`sallyport.${name}`), name)
  }
})

/** A word of a closed set, for an attribute that the example does not have. */
function wordOf(event: string, attribute: string): string | undefined {
  const schema = eventSchemas() as { readonly $defs: Readonly<Record<string, { readonly properties: Readonly<Record<string, { readonly enum?: readonly string[] }>> }>> }
  return schema.$defs[event]?.properties[attribute]?.enum?.[0]
}
