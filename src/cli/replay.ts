// `sallyport replay`: what a changed policy would have answered to the requests that the journal remembers, before it is
// deployed. It asks the function that the proxy asks, resolves nothing, and changes nothing.
import { parseArgs } from 'node:util'
import { journalRecords } from '../audit/journal-query.ts'
import { recordedDecision, RecordedSessions } from '../audit/recorded-facts.ts'
import { Replay, type Change, type ReplayResult } from '../audit/replay.ts'
import { systemClock } from '../clock.ts'
import type { RuleRef } from '../policy/decision.ts'
import type { Policy } from '../policy/policy.ts'
import { asciiJson } from './ascii-json.ts'
import { findJournal, journalOptions, missingJournal, readCount } from './journal-place.ts'
import { loadablePolicy, shownPath } from './policy-problems.ts'
import { findPolicy } from './policy-settings.ts'
import { RecordsProgress } from './records-progress.ts'
import { replayText } from './replay-text.ts'
import { type Command, type CommandIo, UsageError } from './run.ts'
import { readPast } from './time-words.ts'

const usage = `usage: sallyport replay --policy DIR [OPTIONS]

Asks the policy in DIR about every request that the journal remembers, and says what it would have answered
otherwise: what would be refused, asked about or let through that was not. Nothing is sent, resolved or changed.
The journal holds no header fields, no content and of a query only the names: where rules look at these, the
request is counted as one that cannot be told. What a reviewer allowed counts as what policy asked about.

  --policy DIR         folder of the policy files to try
  --requirements FILE  the managed layer that goes with them (default: as for \`start\`)
  --since TIME         from then on: 2h, 7d, or 2027-01-31T18:00Z (default: all that the journal has)
  --until TIME         and no later
  -n N                 kinds of change that are shown of each sort (default: 20)
  --check              exit with 3 when something that passed would be refused or asked about
  --data DIR           the proxy's data folder (default: as for \`start\`, var/)
  --config FILE        settings file that may name it (default: sallyport.toml, if it exists)
  --json               one JSON object

examples:
  cp -r policies next && $EDITOR next/10-default.toml
  sallyport replay --policy next --since 7d
  sallyport replay --policy next --since 30d --check --json

exit codes: 0 ok, 1 there is no journal or the policy has errors, 2 wrong command line, 3 with --check: see there
`

const options = {
  ...journalOptions,
  policy: { type: 'string' },
  requirements: { type: 'string' },
  since: { type: 'string' },
  until: { type: 'string' },
  count: { type: 'string', short: 'n', default: '20' },
  check: { type: 'boolean', default: false },
} as const

export const replayCommand: Command = {
  name: 'replay',
  summary: 'say what a changed policy would have answered to the requests of the journal',
  usage,
  run: async (argv, io) => {
    const { values } = parseArgs({ args: [...argv], options })
    if (values.policy === undefined) throw new UsageError('say which policy: `--policy DIR`')
    const nowMs = systemClock.now()
    const window = {
      sinceMs: values.since === undefined ? undefined : readPast('--since', values.since, nowMs),
      untilMs: values.until === undefined ? undefined : readPast('--until', values.until, nowMs),
    }
    const limit = readCount('-n', values.count)
    const dir = findJournal(values, io)
    const place = findPolicy({ policies: values.policy, requirements: values.requirements, config: values.config }, io)
    if (dir === undefined || place === undefined) return 1
    const policy = await loadablePolicy({ files: [], ...place, cwd: io.cwd }, io)
    if (policy === undefined) return 1
    const { result, records } = await replay(dir, policy, window, nowMs, io)
    if (records === 0) {
      io.err(values.since === undefined && values.until === undefined ? missingJournal(dir) : 'the journal has no records of that time\n')
      return 1
    }
    if (values.json) io.out(`${asciiJson(asJson(policy, result, io.cwd))}\n`)
    else io.out(replayText(policy, result, { limit, cwd: io.cwd, isTty: io.isTty }))
    return values.check && result.changes.some(isTighter) ? 3 : 0
  },
}

interface Window {
  readonly sinceMs: number | undefined
  readonly untilMs: number | undefined
}

/** How sessions were made stands before the window, so all of the journal is read and the window is cut here. */
async function replay(dir: string, policy: Policy, { sinceMs = Number.NEGATIVE_INFINITY, untilMs }: Window, nowMs: number, io: CommandIo): Promise<{ readonly result: ReplayResult; readonly records: number }> {
  const sessions = new RecordedSessions()
  const asked = new Replay(policy, nowMs)
  let records = 0
  const progress = new RecordsProgress(io)
  for await (const record of journalRecords(dir, { untilMs })) {
    progress.count()
    sessions.take(record)
    if (Date.parse(record.time) < sinceMs) continue
    records += 1
    const decision = recordedDecision(record, sessions)
    if (decision !== undefined) asked.take(decision)
  }
  progress.end()
  return { result: asked.result(), records }
}

function isTighter({ from, to }: Change): boolean {
  return from === 'allow' || to === 'deny'
}

function asJson(policy: Policy, result: ReplayResult, cwd: string): object {
  const { replayed, same, changed, changes, untold, uncounted, lookedInto, first, last } = result
  return {
    revision: policy.revision,
    mode: policy.mode,
    first: first ?? null,
    last: last ?? null,
    replayed, same, changed,
    untold: { count: untold.count, ...untold.missing },
    looked_into: lookedInto,
    uncounted,
    changes: changes.map((change) => changeJson(change, cwd)),
  }
}

function changeJson({ from, to, facts, agents, was, becomes, count, first, last, requestIds }: Change, cwd: string): object {
  const { stage, scheme, host, port, method, path } = facts
  return {
    from, to, count, first, last,
    request: { stage, method: method ?? 'CONNECT', scheme, host: host.text, port, path: path ?? null },
    agents,
    was: { code: was.code, granted: was.granted, rule: ruleJson(was.rule, cwd) },
    becomes: { code: becomes.code, reason: becomes.reason, rule: ruleJson(becomes.rule, cwd) },
    request_ids: requestIds,
  }
}

function ruleJson(rule: RuleRef | undefined, cwd: string): RuleRef | null {
  return rule === undefined ? null : { ...rule, file: rule.line === 0 ? rule.file : shownPath(rule.file, cwd) }
}
