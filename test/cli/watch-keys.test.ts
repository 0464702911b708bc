import t from 'tap'
import { KeyReader } from '../../src/cli/watch-keys.ts'
import * as fc from '../support/property.ts'

const read = (...pieces: string[]) => {
  const reader = new KeyReader()
  return pieces.flatMap((piece) => reader.take(piece)).map((key) => ('letter' in key ? key.letter : 'text' in key ? `paste:${key.text}` : key.kind))
}

t.test('keys are told apart', async (t) => {
  t.same(read('aj\x1b[A\x1b[B\x1bOA\x1b[5~\x1b[6~\x1b[H\x1b[4~\r\x7f\x03\x0cü\x01'), ['a', 'j', 'up', 'down', 'up', 'page-up', 'page-down', 'home', 'end', 'enter', 'backspace', 'interrupt', 'redraw', 'ü', 'other'])
  t.same(read('\x1b[1;5A\x1b[24~\x1b[?1;2c'), ['other', 'other', 'other'], 'an unknown sequence is one key and no letters')
})

t.test('Escape is a key when nothing follows it', async (t) => {
  const reader = new KeyReader()
  t.same(reader.take('\x1b'), [])
  t.ok(reader.isPending)
  t.same(reader.flush(), [{ kind: 'escape' }])
  t.notOk(reader.isPending)
  t.same(read('\x1b', '[A'), ['up'])
  t.same(read('\x1bq'), ['escape', 'q'])
})

t.test('no letter of a paste is a command, wherever it is cut', async (t) => {
  fc.assert(fc.property(fc.stringMatching(/^[a-z\r\n]{0,40}$/), fc.array(fc.integer({ min: 0, max: 60 })), (pasted, cuts) => {
    const text = `\x1b[200~${pasted}\x1b[201~q`
    const at = [0, ...cuts.map((cut) => Math.min(cut, text.length)).toSorted((one, other) => one - other), text.length]
    const keys = read(...at.map((from, index) => text.slice(from, at[index + 1] ?? text.length)))
    return JSON.stringify(keys) === JSON.stringify([`paste:${pasted}`, 'q'])
  }))
  t.pass()
})

t.test('a sequence without end, and a paste without end, are bounded', async (t) => {
  t.equal(read(`\x1b[${'0'.repeat(200)}`)[0], 'escape')
  const reader = new KeyReader()
  reader.take('\x1b[200~')
  for (let piece = 0; piece < 100; piece++) reader.take('x'.repeat(1000))
  t.match(reader.take('\x1b[201~'), [{ kind: 'paste', text: 'x'.repeat(4096) }])
})
