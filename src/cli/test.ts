// `sallyport test`: runs every `match` and `not_match` of the policies. It decides nothing itself: the
// cases are tried when a policy is compiled, the same way as at every load; here they are counted.
import { parseArgs } from 'node:util'
import { isTable, parseToml } from '../policy/toml.ts'
import type { TomlValue } from '../policy/toml.ts'
import type { Problem } from '../policy/compile.ts'
import { compileFor, formatProblems, problemJson } from './policy-problems.ts'
import type { CheckedPolicy } from './policy-problems.ts'
import { findPolicy, policyOptions, policyOptionsHelp } from './policy-settings.ts'
import type { Command, CommandIo } from './run.ts'

const usage = `usage: sallyport test [FILES] [OPTIONS]

Runs the match and not_match cases of every rule, and prints those that fail with file and line.
With FILES, the cases of these alone.

${policyOptionsHelp}  --json               one JSON object
  -h, --help

examples:
  sallyport test
  sallyport test policies/packs/*.toml
  sallyport test --policies /etc/sallyport/policies --json

exit codes: 0 all passed, 1 a case failed or the policy has errors, 2 wrong command line
`

interface Outcome {
  readonly passed: number
  readonly failures: readonly Problem[]
  /** errors that kept the cases from being tried */
  readonly errors: readonly Problem[]
}

export const testCommand: Command = {
  name: 'test',
  summary: "run the policies' own match and not_match cases",
  usage,
  async run(argv, io) {
    const { values, positionals } = parseArgs({ args: [...argv], options: policyOptions, allowPositionals: true })
    if (values.help === true) {
      io.out(usage)
      return 0
    }
    const place = positionals.length > 0 ? { policiesDir: '', requirementsFile: values.requirements } : findPolicy(values, io)
    if (place === undefined) return 1
    const checked = await compileFor({ ...place, files: positionals, cwd: io.cwd })
    const outcome = outcomeOf(checked)
    if (values.json === true) io.out(`${JSON.stringify(asJson(outcome, io.cwd), undefined, 2)}\n`)
    else printPeople(outcome, checked, io)
    return outcome.errors.length > 0 || outcome.failures.length > 0 ? 1 : 0
  },
}

function outcomeOf({ policy, problems, sources }: CheckedPolicy): Outcome {
  if (policy !== undefined) {
    return { passed: policy.cases.length, failures: [], errors: [] }
  }
  const errors = problems.filter(({ severity }) => severity === 'error')
  const failures = errors.filter(isFailedCase)
  // cases are tried only when nothing else is wrong
  if (failures.length < errors.length) return { passed: 0, failures: [], errors }
  const total = sources.reduce((sum, { text }) => sum + countCases(text), 0)
  return { passed: total - failures.length, failures, errors: [] }
}

function isFailedCase({ message }: Problem): boolean {
  return /^`(?:not_)?match` does not hold for /.test(message)
}

function countCases(text: string): number {
  const parsed = parseToml(text)
  if ('fault' in parsed) return 0
  const network = parsed.table['network'] ?? parsed.table['experimental_network']
  const rules = isTable(network) ? network['rules'] : undefined
  if (!Array.isArray(rules)) return 0
  return rules.filter(isTable).reduce((sum, rule) => sum + lengthOf(rule['match']) + lengthOf(rule['not_match']), 0)
}

function lengthOf(value: TomlValue | undefined): number {
  return Array.isArray(value) ? value.length : 0
}

function printPeople({ passed, failures, errors }: Outcome, { sources }: CheckedPolicy, io: CommandIo): void {
  if (errors.length > 0) {
    io.err(formatProblems(errors, sources, io.cwd))
    io.err('no case was run: the policy has errors\n')
    return
  }
  io.out(formatProblems(failures, sources, io.cwd))
  io.out(`${passed} passed, ${failures.length} failed\n`)
}

function asJson({ passed, failures, errors }: Outcome, cwd: string): object {
  const all = (problems: readonly Problem[]) => problems.map((problem) => problemJson(problem, cwd))
  return { passed, failed: failures.length, failures: all(failures), errors: all(errors), warnings: [], notes: [] }
}
