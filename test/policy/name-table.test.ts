import assert from 'node:assert/strict'
import t from 'tap'
import { coversBelow, coversName, entryAt, entryOffsets, findName, NameTableBuilder } from '../../src/policy/name-table.ts'
import { parseHost } from '../../src/target/host.ts'
import * as fc from '../support/property.ts'

const label = fc.stringMatching(/^[a-c]{1,2}$/)
const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'))
const entry = fc.record({ name, flags: fc.constantFrom(coversName, coversBelow, coversName | coversBelow), step: fc.constantFrom(0, 1, 1, 7, 300) })

t.test('finds what a set of names would, and the line it stands on', async () => {
  fc.assert(fc.property(fc.array(entry, { maxLength: 60 }), fc.array(name, { maxLength: 10 }), (entries, hosts) => {
    const builder = new NameTableBuilder(1, 1)
    const known = new Map<string, number>()
    let line = 1
    for (const each of entries) {
      line += each.step
      const added = builder.addPlainText(each.name, 0, each.flags, line)
      const key = `${each.flags} ${each.name}`
      assert.equal(added, known.has(key) ? 'repeated' : 'added', key)
      if (!known.has(key)) known.set(key, line)
    }
    const table = builder.finish()
    assert.equal(table.count, known.size)
    assert.equal([...entryOffsets(table)].length, known.size)
    for (const offset of entryOffsets(table)) {
      const found = entryAt(table, offset)
      assert.equal(found.line, known.get(`${found.flags} ${found.name}`), found.name)
    }
    for (const host of [...hosts, ...entries.map((each) => each.name)]) {
      const labels = host.split('.')
      const covering = labels.map((_, i) => labels.slice(i).join('.')).filter((tail) => [...known.keys()].some((key) => {
        const [flags = '', text] = key.split(' ')
        return text === tail && (Number(flags) & (tail === host ? coversName : coversBelow)) !== 0
      }))
      const at = findName(table, host)
      assert.equal(at === -1 ? undefined : entryAt(table, at).name, covering[0], host)
    }
  }), { numRuns: 300 })
})

t.test('takes as plain only what the host parser hands back unchanged', async () => {
  const noise = fc.oneof(fc.domain(), fc.stringMatching(/^[a-zA-Z0-9.\-_*]{0,12}$/), fc.string({ maxLength: 12 }), fc.constantFrom('xn--a', 'a.xn--bcher-kva', 'a.0x1', '1.2.3.4', 'a.1', 'a'.repeat(64), 'é.com', 'a.com\u0100'))
  fc.assert(fc.property(noise, (text) => {
    const builder = new NameTableBuilder(0, 0)
    if (builder.addPlainText(text, 0, coversName, 1) === 'odd') return
    assert.deepEqual(parseHost(text), { kind: 'name', text }, text)
    const bytes = new TextEncoder().encode(`x${text}y`)
    assert.equal(new NameTableBuilder(0, 0).addPlainBytes(bytes, 1, bytes.length - 1, coversName, 1), 'added', text)
  }), { numRuns: 3000 })
})

t.test('what is odd is not added and leaves no trace', async (t) => {
  const builder = new NameTableBuilder(2, 20)
  t.equal(builder.addPlainText('UPPER.example', 0, coversName, 3), 'odd')
  t.equal(builder.addPlainText('a'.repeat(300), 0, coversName, 4), 'odd')
  t.equal(builder.addPlainText('a.example', 0, coversName, 900), 'added')
  t.equal(builder.addPlainText('b.example', 0, coversName, 2), 'added')
  const table = builder.finish()
  t.strictSame([...entryOffsets(table)].map((at) => entryAt(table, at)), [
    { name: 'a.example', flags: coversName, line: 900 },
    { name: 'b.example', flags: coversName, line: 2 },
  ])
})

t.test('a lifted entry gives way to the next that covers', async (t) => {
  const builder = new NameTableBuilder(2, 40)
  builder.addPlainText('b.example', 0, coversName | coversBelow, 1)
  builder.addPlainText('example', 0, coversName | coversBelow, 2)
  const table = builder.finish()
  const found = findName(table, 'a.b.example', (at) => entryAt(table, at).name === 'b.example')
  t.equal(entryAt(table, found).name, 'example')
})
