// What the benchmarks read out of /proc.
import t from 'tap'
import { cpuSeconds, parseBusySeconds, parseResident, parseStat, processTree, residentBytes } from '../../bench/proc.ts'

t.test('a stat line gives parent and times, whatever the command is called', async (t) => {
  const line = '4242 (a ) (b c) S 17 4242 4242 0 -1 4194304 100 0 0 0 250 50 7 3 20 0 11 0 12345 1000000 500'
  t.same(parseStat(line), { pid: 4242, parent: 17, ownTicks: 300, reapedTicks: 10 })
})

t.test('what is no stat line is nothing', async (t) => {
  for (const text of ['', '12', '12 (x)', '12 (x) S', 'x (y) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1']) t.equal(parseStat(text), undefined, text)
})

t.test('resident memory is told in bytes and is 0 for a process that is ending', async (t) => {
  t.equal(parseResident('Name:\tx\nVmHWM:\t  900 kB\nVmRSS:\t  800 kB\nThreads:\t1\n'), 800 * 1024)
  t.equal(parseResident('Name:\tx\nState:\tZ (zombie)\n'), 0)
})

t.test('busy time of a core leaves out idle and waiting', async (t) => {
  const text = 'cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 10 50 9999 7777 5 15 20 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\ncpu10 5 5 5 5 5 5 5 5 0 0\n'
  t.equal(parseBusySeconds(text, 0), 2)
  t.equal(parseBusySeconds(text, 2), undefined)
})

t.test('this very process has a tree, used time and memory', { skip: process.platform !== 'linux' && 'no /proc here' }, async (t) => {
  t.equal(processTree(process.pid)[0]?.pid, process.pid)
  t.ok(cpuSeconds(process.pid) >= 0)
  t.ok(residentBytes(process.pid) > 1024 * 1024)
  t.same(processTree(2 ** 30), [], 'no such process')
})
