import { EventEmitter } from 'node:events'
import t from 'tap'
import { setImmediate as turn } from 'node:timers/promises'
import { Turnstile } from '../src/turnstile.ts'

t.test('whoever comes alone goes on at once', async (t) => {
  const turnstile = new Turnstile(2)
  for (let i = 0; i < 5; i++) {
    let through = 0
    turnstile.pass(() => (through += 1))
    t.equal(through, 1)
    t.ok(turnstile.passNow())
    await turn()
  }
})

t.test('a crowd goes through in its order, so many in each turn and everybody once', async (t) => {
  const turnstile = new Turnstile(3)
  const through: number[] = []
  for (let i = 0; i < 8; i++) turnstile.pass(() => through.push(i))
  const seen = [through.length]
  t.equal(turnstile.size, 5)
  while (turnstile.size > 0) {
    await turn()
    seen.push(through.length)
  }
  await turn()
  await turn()
  t.same(seen, [3, 6, 8])
  t.same(through, [0, 1, 2, 3, 4, 5, 6, 7])
})

t.test('nobody overtakes those who wait', async (t) => {
  const turnstile = new Turnstile(1)
  const through: string[] = []
  turnstile.pass(() => through.push('first'))
  turnstile.pass(() => {
    through.push('second')
    turnstile.pass(() => through.push('fourth'))
  })
  turnstile.pass(() => through.push('third'))
  t.notOk(turnstile.passNow())
  await turnstile.passed(new EventEmitter())
  t.same(through, ['first', 'second', 'third'])
  await turnstile.passed(new EventEmitter())
  t.same(through, ['first', 'second', 'third', 'fourth'])
})

t.test('what is read meanwhile is read between two turns', async (t) => {
  const turnstile = new Turnstile(1)
  const order: string[] = []
  for (const name of ['a', 'b', 'c']) turnstile.pass(() => order.push(name))
  for (let i = 0; i < 3; i++) {
    await turn()
    order.push(`turn ${i}`)
  }
  t.ok(order.indexOf('turn 0') < order.indexOf('c'), order.join(' '))
})

t.test('whose socket closes waits no longer, and nothing listens to one that was let through', async (t) => {
  const turnstile = new Turnstile(1)
  const through: string[] = []
  const [left, stayed] = [new EventEmitter(), new EventEmitter()]
  turnstile.pass(() => through.push('first'))
  turnstile.pass(() => through.push('second'))
  const leaving = turnstile.passed(left).then(() => through.push('left'))
  const staying = turnstile.passed(stayed).then(() => through.push('stayed'))
  left.emit('close')
  await leaving
  t.same(through, ['first', 'left'])
  await staying
  t.same(through, ['first', 'left', 'second', 'stayed'])
  t.equal(left.listenerCount('close') + stayed.listenerCount('close'), 0)
})

t.test('of a queue to which others come all the time everybody goes through once', async (t) => {
  const turnstile = new Turnstile(1_000)
  let through = 0
  const add = (): void => turnstile.pass(() => {
    through += 1
    if (through < 100_000) add()
  })
  for (let i = 0; i < 2_000; i++) add()
  while (turnstile.size > 0) await turn()
  await turn()
  await turn()
  t.equal(turnstile.size, 0)
  t.equal(through, 101_999)
})
