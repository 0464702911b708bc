// Fields by name, and lists within them.
import t from 'tap'
import { joinedValue, listMembers, onlyValue, valuesOf } from '../../src/target/field-list.ts'
import * as fc from '../support/property.ts'

const fields = ['A', '1', 'b', '2', 'a', '', 'B-c', '3']

t.test('a field is found in any case, as often as it is there', async (t) => {
  t.strictSame(valuesOf(fields, 'a'), ['1', ''])
  t.equal(joinedValue(fields, 'a'), '1, ')
  t.equal(joinedValue(fields, 'x'), undefined)
  t.equal(onlyValue(fields, 'a'), undefined)
  t.equal(onlyValue(fields, 'b'), '2')
  t.equal(onlyValue(fields, 'x'), undefined)
})

t.test('members are parted by commas that stand neither in quotes nor in angle brackets', async (t) => {
  for (const [text, members] of [['', []], [' , ,', []], ['a', ['a']], [' a ,b,, c', ['a', 'b', 'c']], ['"a,b", c', ['"a,b"', 'c']], ['"a\\",b", c', ['"a\\",b"', 'c']], ['<a,b>; x="<,", c', ['<a,b>; x="<,"', 'c']], ['"a, b', ['"a, b']], ['<a, b', ['<a, b']]] as const) t.strictSame(listMembers(text), members, text)
})

t.test('members that are joined are the same members', async () => {
  const member = fc.oneof(fc.stringMatching(/^[a-z]{1,5}$/), fc.stringMatching(/^"[a-z, ]{0,5}"$/), fc.stringMatching(/^<[a-z,]{0,5}>$/))
  fc.assert(fc.property(fc.array(member), (members) => JSON.stringify(listMembers(members.join(', '))) === JSON.stringify(members)))
})
