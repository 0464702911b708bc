import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { descriptorLimit, scarcityOf, sharesOf } from '../../src/config/descriptors.ts'
import { assert, integer, property } from '../support/property.ts'

t.test('the limit is read from the system\'s own table, and is unknown where there is none', async (t) => {
  const dir = t.testdir({})
  const file = join(dir, 'limits')
  const read = (text: string): number | undefined => {
    writeFileSync(file, text)
    return descriptorLimit(file)
  }
  t.equal(read('Limit                     Soft Limit           Hard Limit           Units     \nMax cpu time              unlimited            unlimited            seconds   \nMax open files            1024                 524288               files     \n'), 1024)
  t.equal(read('Max open files            unlimited            unlimited            files     \n'), undefined)
  t.equal(read(''), undefined)
  t.equal(descriptorLimit(join(dir, 'gone')), undefined)
})

t.test('whatever the limit, clients and what is opened for them leave something to operators and the journal', async () => {
  assert(property(integer({ min: 100, max: 2 ** 30 }), (limit) => {
    const { clients, ceiling, operators, refusals } = sharesOf(limit)
    // two listeners of control and one of figures
    return clients >= 1 && 2 * clients + refusals <= ceiling && ceiling < limit && 3 * operators < limit - ceiling
  }))
})

t.test('a limit below what the proxy is made for is said, unless the settings want less', async (t) => {
  t.match(scarcityOf(sharesOf(1024), 50_000), /1024 files open, which is enough for \d{3} client connections: raise it with `ulimit -n 65536`/)
  t.equal(scarcityOf(sharesOf(1024), 400), undefined)
  t.equal(scarcityOf(sharesOf(65_536), 50_000), undefined)
  t.equal(scarcityOf(undefined, 50_000), undefined)
})
