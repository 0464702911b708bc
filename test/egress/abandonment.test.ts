import t from 'tap'
import { Abandonment } from '../../src/egress/abandonment.ts'

t.test('the listener hears once, and only the last one that was set', async (t) => {
  const gone = new Abandonment()
  const heard: string[] = []
  gone.listen(() => heard.push('first'))
  gone.listen(() => heard.push('second'))
  gone.abandon()
  gone.abandon()
  t.strictSame(heard, ['second'])
  t.ok(gone.isAbandoned)
})

t.test('as a signal it aborts then, or at once when it is late', async (t) => {
  const gone = new Abandonment()
  const signal = gone.toSignal()
  t.notOk(signal.aborted)
  gone.abandon()
  t.ok(signal.aborted)
  t.ok(gone.toSignal().aborted)
})
