import t from 'tap'
import { Budget, HeldBytes, partOfStream, wholeBody } from '../../src/cache/held-body.ts'

async function* chunks(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

async function textOf(read: AsyncIterable<Uint8Array> | Uint8Array): Promise<string> {
  if (read instanceof Uint8Array) return Buffer.from(read).toString()
  let text = ''
  for await (const chunk of read) text += Buffer.from(chunk).toString()
  return text
}

const way = { contentLength: undefined, decode: (coded: AsyncIterable<Uint8Array>) => coded, timeoutMs: 60_000, onLate: () => undefined }

t.test('a body is read whole or in parts, in pieces where it is large', async (t) => {
  const budget = new Budget(1_000_000)
  const text = 'abcdefghij'.repeat(20_000)
  const held = await wholeBody(chunks(text.slice(0, 70_000), text.slice(70_000)), { ...way, budget, contentLength: text.length })
  if (held === undefined) return t.fail('it was not held')
  t.equal(await textOf(held.read()), text)
  t.notOk(held.read() instanceof Uint8Array)
  t.equal(await textOf(held.read({ first: 3, last: 5 })), 'def')
  t.equal(await textOf(held.read({ first: 1, last: 150_000 })), text.slice(1, 150_001))
  held.release()
  t.throws(() => held.read({ first: 0, last: 1 }), { code: 'cache_failed' }, 'it is gone')
})

t.test('a body of no bytes is one', async (t) => {
  const held = await wholeBody(chunks(), { ...way, budget: new Budget(1) })
  t.equal(held?.length, 0)
  t.equal(await textOf(held?.read() ?? Buffer.from('none')), '')
})

t.test('what is not as long as its head says, and what there is no room for, is not held and costs nothing', async (t) => {
  const budget = new Budget(10)
  t.equal(await wholeBody(chunks('four'), { ...way, budget, contentLength: 5 }), undefined)
  t.equal(await wholeBody(chunks('four'), { ...way, budget, contentLength: 3 }), undefined)
  t.equal(await wholeBody(chunks('four', 'four', 'four'), { ...way, budget }), undefined)
  t.ok(budget.take(10))
})

t.test('a held body is let go in its time, in the middle of its reading too', async (t) => {
  const budget = new Budget(200_000)
  budget.take(200_000)
  const held = new HeldBytes(Buffer.alloc(200_000), budget, 20)
  const read = held.read()
  if (read instanceof Uint8Array) return t.fail('it is large')
  const pieces = read[Symbol.asyncIterator]()
  t.equal((await pieces.next()).value?.length, 65_536)
  while (!budget.take(200_000)) await new Promise((resolve) => setTimeout(resolve, 5))
  await t.rejects(pieces.next(), { code: 'cache_failed' })
  held.release()
  t.notOk(budget.take(1), 'and is given back once')
})

t.test('a fault of the program is not taken for a broken body', async (t) => {
  async function* faulty(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('x')
    throw new TypeError('a fault')
  }
  await t.rejects(wholeBody(faulty(), { ...way, budget: new Budget(10) }), TypeError)
})

t.test('a part of a stream is exactly the part, or an error', async (t) => {
  const text = 'abcdefghijklmno'
  for (let first = 0; first < text.length; first++) {
    for (let last = first; last < text.length; last++) {
      t.equal(await textOf(partOfStream(chunks('abc', '', 'defghij', 'k', 'lmno'), { first, last })), text.slice(first, last + 1))
    }
  }
  await t.rejects(textOf(partOfStream(chunks('abc'), { first: 0, last: 3 })), { code: 'cache_failed' })
})
