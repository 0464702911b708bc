// `sallyport audit …`: the journal, read by people. Each of its words has a file of its own; this one only finds it.
import { erase, eraseUsage } from './audit-erase.ts'
import { search, searchUsage } from './audit-search.ts'
import { show, showUsage } from './audit-show.ts'
import { exportRecords, exportUsage } from './audit-export.ts'
import { repair, repairUsage } from './audit-repair.ts'
import { tail, tailUsage } from './audit-tail.ts'
import { verify, verifyUsage } from './audit-verify.ts'
import { type Command, type CommandIo, type RunDeps, UsageError } from './run.ts'

interface Word {
  readonly summary: string
  readonly usage: string
  run(argv: readonly string[], io: CommandIo, deps: Pick<RunDeps, 'createApp' | 'env'>): Promise<number>
}

const words: ReadonlyMap<string, Word> = new Map<string, Word>([
  ['tail', { summary: 'the newest records, and what is appended', usage: tailUsage, run: (argv, io) => tail(argv, io) }],
  ['search', { summary: 'the records that fit', usage: searchUsage, run: (argv, io) => search(argv, io) }],
  ['show', { summary: 'what one id stands for, told in order', usage: showUsage, run: (argv, io) => show(argv, io) }],
  ['export', { summary: 'records for another program, or segments for another machine', usage: exportUsage, run: (argv, io) => exportRecords(argv, io) }],
  ['verify', { summary: 'check that nothing in the journal was changed', usage: verifyUsage, run: (argv, io) => verify(argv, io) }],
  ['repair', { summary: 'set aside what is damaged, so that the proxy starts again', usage: repairUsage, run: repair }],
  ['erase', { summary: 'make what there is about a person unreadable, for good', usage: eraseUsage, run: erase }],
])

const usage = `usage: sallyport audit WORD [OPTIONS]

${Array.from(words, ([word, { summary }]) => `  ${word.padEnd(8)} ${summary}\n`).join('')}
\`sallyport audit WORD --help\` says more.

examples:
  sallyport audit tail -f --verdict deny
  sallyport audit search --host '*.example.com' --since 7d
  sallyport audit show 01JD0000000000000000000000
  sallyport audit verify --data /var/lib/sallyport

exit codes: 0 ok, 1 there is no journal or it is not intact, 2 wrong command line
`

export function auditCommand(deps: Pick<RunDeps, 'createApp' | 'env'>): Command {
  return {
    name: 'audit',
    summary: 'read, search and verify the journal, and erase people from it',
    usage,
    usageOf: ([what = '']) => words.get(what)?.usage,
    run: async ([what, ...rest], io) => {
      const word = words.get(what ?? '')
      if (word !== undefined) return word.run(rest, io, deps)
      const known = [...words.keys()].map((name) => `\`${name}\``).join(', ')
      throw new UsageError(what === undefined ? `say what to do: ${known}` : `there is no \`audit ${what}\`, only ${known}`)
    },
  }
}
