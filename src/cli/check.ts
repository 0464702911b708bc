// `sallyport check`: compiles policies and says what is wrong with them, and where. It changes nothing
// and opens no connection.
import { parseArgs } from 'node:util'
import type { Policy, Problem } from '../policy/compile.ts'
import { compileFor, countOf, formatProblems, problemJson, shownPath } from './policy-problems.ts'
import type { CheckedPolicy } from './policy-problems.ts'
import { plural } from './plural.ts'
import { findPolicy, policyOptions, policyOptionsHelp } from './policy-settings.ts'
import type { Command, CommandIo } from './run.ts'

const usage = `usage: sallyport check [FILES] [OPTIONS]

Compiles the policy layers and prints every error, warning and notice with file, line and column.
With FILES, these are compiled together and the policy folder is left alone; a file called
requirements.toml is read as the managed layer.

${policyOptionsHelp}  --json               one JSON object
  -h, --help

examples:
  sallyport check
  sallyport check policies/packs/git-hosting.toml
  sallyport check --policies /etc/sallyport/policies --requirements requirements.toml
  sallyport check --json | jq '.problems[] | select(.severity == "error")'

exit codes: 0 valid, 1 errors, 2 wrong command line
`

export const checkCommand: Command = {
  name: 'check',
  summary: 'compile policy files and say what is wrong with them',
  usage,
  async run(argv, io) {
    const { values, positionals } = parseArgs({ args: [...argv], options: policyOptions, allowPositionals: true })
    if (values.help === true) {
      io.out(usage)
      return 0
    }
    const checked = await compileNamed(positionals, values, io)
    if (checked === undefined) return 1
    if (values.json === true) io.out(`${JSON.stringify(asJson(checked, io.cwd), undefined, 2)}\n`)
    else printPeople(checked, io)
    return checked.policy === undefined ? 1 : 0
  },
}

async function compileNamed(
  files: readonly string[],
  values: { readonly policies?: string; readonly requirements?: string; readonly config?: string },
  io: CommandIo,
): Promise<CheckedPolicy | undefined> {
  if (files.length > 0) {
    return compileFor({ files, policiesDir: '', requirementsFile: values.requirements, cwd: io.cwd })
  }
  const place = findPolicy(values, io)
  if (place === undefined) return undefined
  const checked = await compileFor({ files, ...place, cwd: io.cwd })
  if (checked.policy?.allowLocalBinding !== true || place.onlyLoopback) return checked
  return { ...checked, problems: [...checked.problems, opensNothing(checked.policy)] }
}

/** The listener is a setting, so only here, and not in the compiler, is it known that the key is idle. */
function opensNothing({ settings }: Policy): Problem {
  const { file, line } = settings.allowLocalBinding
  const message = '`allow_local_binding` opens nothing, because a listener is not on loopback: write `local` on the rules that need it'
  return { severity: 'warning', file, line, column: 1, message, text: '' }
}

function printPeople({ policy, problems, sources }: CheckedPolicy, io: CommandIo): void {
  const text = formatProblems(problems, sources, io.cwd)
  if (policy === undefined) {
    io.err(text)
    io.err(`${tally(problems)}${sources.length === 0 ? '' : ` in ${plural(sources.length, 'file')}`}\n`)
    return
  }
  io.out(text)
  const parts = [
    plural(sources.length, 'file'),
    `${plural(policy.ruleCount, 'rule')} and entries`,
    `${plural(policy.feedNames, 'name')} on feeds`,
    `mode ${policy.mode}`,
    `revision ${policy.revision}`,
  ]
  const rest = problems.length === 0 ? '' : `; ${tally(problems)}`
  io.out(`ok: ${parts.join(', ')}${rest}\n`)
}

/** `2 errors, 1 warning`; kinds that do not occur are left out */
function tally(problems: CheckedPolicy['problems']): string {
  const kinds = (['error', 'warning', 'notice'] as const).map((severity) => ({ severity, count: countOf(problems, severity) }))
  return kinds.filter(({ count }) => count > 0).map(({ severity, count }) => plural(count, severity)).join(', ')
}

function asJson({ policy, problems, sources }: CheckedPolicy, cwd: string): object {
  return {
    valid: policy !== undefined,
    revision: policy?.revision ?? null,
    mode: policy?.mode ?? null,
    rules: policy?.ruleCount ?? null,
    feed_names: policy?.feedNames ?? null,
    files: sources.map((source) => ({ path: shownPath(source.path, cwd), layer: source.layer })),
    problems: problems.map((problem) => problemJson(problem, cwd)),
  }
}
