// The command frame: which command runs, what is said about the others, and the exit codes.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { commands, runCli, version } from '../../src/cli/run.ts'
import { fakeIo, fakeProcess } from './fake-io.ts'

const root = join(import.meta.dirname, '../..')

t.test('--help names every command on stdout and ends with 0', async (t) => {
  for (const argv of [['--help'], ['-h'], ['help']]) {
    const io = fakeIo('/')
    t.equal(await runCli(argv, io, fakeProcess()), 0)
    for (const { name, summary } of commands) t.ok(io.stdout().includes(`${name} `) && io.stdout().includes(summary), name)
    t.equal(io.stderr(), '')
  }
})

t.test('no command at all is a wrong command line: help on stderr, 2', async (t) => {
  const io = fakeIo('/')
  t.equal(await runCli([], io, fakeProcess()), 2)
  t.equal(io.stdout(), '')
  t.match(io.stderr(), /usage: sallyport COMMAND/)
})

t.test('--version is the version of the package', async (t) => {
  const io = fakeIo('/')
  t.equal(await runCli(['--version'], io, fakeProcess()), 0)
  const manifest: { version: string } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  t.equal(io.stdout(), `sallyport ${manifest.version}\n`)
  t.equal(version(), manifest.version)
})

t.test('an unknown command ends with 2 and the one that was meant', async (t) => {
  const meant = async (word: string): Promise<string> => {
    const io = fakeIo('/')
    t.equal(await runCli([word], io, fakeProcess()), 2)
    t.equal(io.stdout(), '')
    return io.stderr()
  }
  t.match(await meant('strat'), /there is no command `strat`, did you mean `start`\?/)
  t.match(await meant('doktor'), /did you mean `doctor`/)
  t.notMatch(await meant('frobnicate'), /did you mean/)
  t.notMatch(await meant('__proto__'), /did you mean/)
})

t.test('every command loads under its own name and summary, with a usage that says how to call it', async (t) => {
  for (const entry of commands) {
    const command = await entry.load(fakeProcess())
    t.equal(command.name, entry.name)
    t.equal(command.summary, entry.summary)
    t.match(command.usage, new RegExp(`^usage: sallyport ${entry.name}`))
    t.ok(command.usage.endsWith('\n'), entry.name)
  }
})

t.test('COMMAND --help and help COMMAND print the same usage and do nothing', async (t) => {
  for (const { name } of commands) {
    const first = fakeIo('/')
    const second = fakeIo('/')
    const deps = fakeProcess()
    t.equal(await runCli([name, '--help'], first, deps), 0)
    t.equal(await runCli(['help', name], second, deps), 0)
    t.equal(first.stdout(), second.stdout())
    t.match(first.stdout(), /^usage: /)
    t.same(deps.calls, [])
  }
})

t.test('help for an unknown command is a wrong command line', async (t) => {
  const io = fakeIo('/')
  t.equal(await runCli(['help', 'strat'], io, fakeProcess()), 2)
  t.match(io.stderr(), /did you mean `start`/)
})

t.test('an unknown option of any command ends with 2 and points at its help', async (t) => {
  for (const { name } of commands) {
    const io = fakeIo(t.testdir({}))
    t.equal(await runCli([name, '--no-such-option'], io, fakeProcess()), 2, name)
    t.match(io.stderr(), new RegExp(`sallyport ${name} --help`))
    t.equal(io.stdout(), '')
  }
})

t.test('an option that only another part of the command takes is not offered again', async (t) => {
  const io = fakeIo(t.testdir({}))
  t.equal(await runCli(['ca', 'export', '--json'], io, fakeProcess()), 2)
  t.match(io.stderr(), '`--json` is not for this part of the command')
  t.notMatch(io.stderr(), 'did you mean')
})

t.test('a misspelt option of any command is named, with the one that was meant', async (t) => {
  for (const argv of [['why', '--jsn'], ['explain', '--metod', 'GET', 'a.test'], ['audit', 'tail', '--folow'], ['check', '--polices', 'x'], ['doctor', '--poxy', 'x']]) {
    const io = fakeIo(t.testdir({}))
    t.equal(await runCli(argv, io, fakeProcess()), 2)
    t.match(io.stderr(), /there is no option `--\w+`, did you mean `--(?:json|method|follow|policies|proxy)`\?/, argv.join(' '))
  }
})

t.test('the process hands over argv and gives back the exit code', async (t) => {
  const run = (...argv: string[]) => spawnSync(process.execPath, [join(root, 'bin/sallyport.js'), ...argv], { encoding: 'utf8' })
  t.match(run('--version'), { status: 0, stdout: `sallyport ${version()}\n`, stderr: '' })
  t.match(run('strat'), { status: 2, stdout: '', stderr: /did you mean `start`/ })
})
