import t from 'tap'
import { FaultLog } from '../../src/ops/fault-log.ts'

t.test('a fault is said once in ten seconds, with how often it came in between', async (t) => {
  let nowMs = 0
  const said: (readonly [string, number | undefined])[] = []
  const log = new FaultLog({ now: () => nowMs, monotonic: () => nowMs }, (text, repeated) => said.push([text, repeated]))
  for (let at = 0; at < 100; at++) log.report('no descriptor left')
  log.report('another')
  nowMs = 10_000
  log.report('no descriptor left')
  log.report('another')
  t.strictSame(said, [['no descriptor left', undefined], ['another', undefined], ['no descriptor left', 99], ['another', undefined]])
})

t.test('however many kinds there are, each is said', async (t) => {
  const said: string[] = []
  const log = new FaultLog({ now: () => 0, monotonic: () => 0 }, (text) => said.push(text))
  for (let at = 0; at < 200; at++) log.report(new Error(`fault ${at}`))
  t.equal(said.length, 200)
  t.match(said[7], /^Error: fault 7\n {4}at /)
})
