// `sallyport report`: what agents did in a stretch of time, summed up from the journal: on the terminal, as a page with
// plots, as JSON; and what it suggests to whoever writes the policy. It reads and changes nothing.
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { journalRecords } from '../audit/journal-query.ts'
import { ReportBuilder, type Report } from '../audit/report.ts'
import { proposedPolicy, suggest, type Suggestions } from '../audit/suggestions.ts'
import { systemClock } from '../clock.ts'
import { policyEntries, type PolicyEntry } from '../policy/entries.ts'
import { asciiJson } from './ascii-json.ts'
import { askedText, filterOptions, filterOptionsHelp, readFilter } from './filter-options.ts'
import { findJournal, journalOptions, journalOptionsHelp, missingJournal, readCount } from './journal-place.ts'
import { compileFor } from './policy-problems.ts'
import { findPolicy } from './policy-settings.ts'
import { RecordsProgress } from './records-progress.ts'
import { reportHtml } from './report-html.ts'
import { reportJson } from './report-json.ts'
import { reportText } from './report-text.ts'
import { type Command, type CommandIo, UsageError } from './run.ts'

const usage = `usage: sallyport report [OPTIONS]

Sums up the journal: what was allowed, asked and denied, by host, agent and team; how long questions waited, and
who answered; what monitor mode let pass that enforce mode would not; where the journal has gaps. It suggests what
reviewers always answered as policy, and names rules that decide nothing and questions that keep coming back.

  --html FILE     a page with plots, in one file that asks nobody for anything
  --patch         only the proposed policy file: sallyport report --patch > policies/50-approved.toml
  -n N            lines of each table (default: 15)
${filterOptionsHelp}  --policies DIR  the policy whose rules are looked for (default: as for \`start\`)
${journalOptionsHelp}  --json          one JSON object

examples:
  sallyport report --since 7d
  sallyport report --since 30d --team web --html report.html
  sallyport report --since 30d --patch

exit codes: 0 ok, 1 there is no journal, 2 wrong command line
`

const options = {
  ...journalOptions,
  ...filterOptions,
  policies: { type: 'string' },
  requirements: { type: 'string' },
  html: { type: 'string' },
  patch: { type: 'boolean', default: false },
  count: { type: 'string', short: 'n', default: '15' },
} as const

const maxEntries = 10_000

export const reportCommand: Command = {
  name: 'report',
  summary: 'sum up the journal: verdicts, questions, suggestions; as a page with --html',
  usage,
  run: async (argv, io) => {
    const { values } = parseArgs({ args: [...argv], options })
    const limit = readCount('-n', values.count)
    const filter = readFilter(values, systemClock.now())
    if (values.patch && (values.json || values.html !== undefined)) throw new UsageError('--patch goes without --json and --html')
    const dir = findJournal(values, io)
    if (dir === undefined) return 1
    const builder = new ReportBuilder()
    const progress = new RecordsProgress(io)
    const { sinceMs, untilMs } = filter.question
    for await (const record of journalRecords(dir, { sinceMs, untilMs }, { mayMatch: (line) => filter.mayMatch(line) })) {
      progress.count()
      if (filter.matches(record)) builder.take(record)
    }
    progress.end()
    const report = builder.result()
    if (report.records === 0) {
      io.err(filter.isEmpty ? missingJournal(dir) : `the journal has no records of ${askedText(values)}\n`)
      return 1
    }
    // a part of what happened does not tell which rules do nothing
    const { globs, question } = filter
    const isWhole = globs.size === 0 && question.verdict === undefined && question.approval === undefined && question.request === undefined
    const suggestions = suggest(report, isWhole ? await entriesOf(values, io) : undefined)
    return show({ report, suggestions, asked: askedText(values), limit, patch: proposedPolicy(suggestions, day(report.first), day(report.last)) }, values, io)
  },
}

export interface ReportPage {
  readonly report: Report
  readonly suggestions: Suggestions
  /** as one would type it; empty: everything */
  readonly asked: string
  /** lines of each table */
  readonly limit: number
  /** TOML of the proposed policy */
  readonly patch: string | undefined
}

function show(page: ReportPage, { html, json, patch }: { readonly html?: string | undefined; readonly json: boolean; readonly patch: boolean }, io: CommandIo): number {
  if (patch) {
    if (page.patch === undefined) io.err('reviewers did not answer anything the same way twice: there is nothing to propose\n')
    else io.out(page.patch)
    return 0
  }
  if (html !== undefined) {
    const path = resolve(io.cwd, html)
    writeFileSync(path, reportHtml(page), { mode: 0o600 })
    io.err(`the report is in ${path}\n`)
  }
  if (json) io.out(`${asciiJson(reportJson(page))}\n`)
  else if (html === undefined) io.out(reportText(page, { isTty: io.isTty, cwd: io.cwd }))
  return 0
}

/** Of the policy as it is now; undefined where it does not compile, which `check` tells. */
async function entriesOf(values: { readonly policies?: string | undefined; readonly requirements?: string | undefined; readonly config?: string | undefined }, io: CommandIo): Promise<readonly PolicyEntry[] | undefined> {
  const place = findPolicy(values, io)
  if (place === undefined) return undefined
  const { policy } = await compileFor({ files: [], ...place, cwd: io.cwd })
  if (policy === undefined) io.err('the policy has errors (`sallyport check` names them), so it is not said which rules decided nothing\n')
  return policy === undefined ? undefined : policyEntries(policy, maxEntries)
}

function day(time: string | undefined): string {
  return time?.slice(0, 10) ?? ''
}
