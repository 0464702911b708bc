// What the operator is told of a load: what was wrong and where, and what stays in force. Pure sentences.
import type { Problem } from '../policy/compile.ts'

/** A change that was not taken, for the operator log. */
export function rejectedText(problems: readonly Problem[], revision: string): string {
  const errors = problems.filter(({ severity }) => severity === 'error')
  return `the change of the policy is not valid: ${firstOf(errors)}; the last good policy, revision ${revision}, stays; run \`sallyport check\``
}

/** The same for /readyz, where the place is enough. */
export function notReadyText(problems: readonly Problem[]): string {
  const first = problems.find(({ severity }) => severity === 'error')
  const place = first === undefined ? '' : ` (${first.file}:${first.line})`
  return `the last change of the policy is not valid${place}; the one before it is in force`
}

/** Warnings of a loaded policy as fields of a log line; none when there is none. */
export function warningFields(problems: readonly Problem[]): { readonly warnings: number; readonly first_warning?: string } {
  const warnings = problems.filter(({ severity }) => severity === 'warning')
  return warnings.length === 0 ? { warnings: 0 } : { warnings: warnings.length, first_warning: firstOf(warnings.slice(0, 1)) }
}

function firstOf([first, ...rest]: readonly Problem[]): string {
  if (first === undefined) return 'it could not be read'
  const { file, line, column, message } = first
  return `${file}:${line}:${column}: ${message}${rest.length === 0 ? '' : ` (and ${rest.length} more)`}`
}

/** Why a start fails whose policy is not valid. */
export function invalidAtStartText(problems: readonly Problem[]): string {
  const lines = problems.filter(({ severity }) => severity === 'error').map(({ file, line, column, message }) => `  ${file}:${line}:${column}: ${message}`)
  return `the policy is not valid, and nothing is started without one\n${lines.join('\n')}\nrun \`sallyport check\` for the lines themselves`
}
