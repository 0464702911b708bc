// How check, explain and test read policies from the command line, and print what is wrong with them.
// It compiles in this process: a command has nobody to keep waiting. Nothing from a file reaches the
// terminal unescaped.
import { isAbsolute, relative, resolve } from 'node:path'
import { compilePolicy } from '../policy/compile.ts'
import type { CompileResult, KnownCredential, Problem, SourceFile } from '../policy/compile.ts'
import type { Policy } from '../policy/policy.ts'
import { managedDefault, readFiles, readPolicy } from '../config/policy-read.ts'
import type { ReservedDestination } from '../config/policy-worker.ts'
import type { CommandIo } from './run.ts'

export interface PolicyRequest {
  /** read instead of the folder, when there are any */
  readonly files: readonly string[]
  readonly policiesDir: string
  readonly requirementsFile: string | undefined
  readonly cwd: string
  /** what the proxy itself connects to: denied to agents */
  readonly reserved?: readonly ReservedDestination[]
  /** absent where no settings are read */
  readonly credentials?: readonly KnownCredential[]
}

export interface CheckedPolicy extends CompileResult {
  readonly sources: readonly SourceFile[]
}

const maxColumns = 100

/** Reads and compiles; `policy` is undefined when anything in it is an error. */
export async function compileFor(request: PolicyRequest): Promise<CheckedPolicy> {
  const { cwd, requirementsFile } = request
  const named = requirementsFile === undefined ? undefined : resolve(cwd, requirementsFile)
  const files = request.files.map((file) => resolve(cwd, file))
  const reading = files.length > 0
    ? await readFiles(files, named)
    : await readPolicy({
        policiesDir: resolve(cwd, request.policiesDir),
        managed: { path: named ?? managedDefault, mustExist: named !== undefined },
      })
  const compiled = compilePolicy(reading.sources, reading.feeds, { reserved: request.reserved ?? [], credentials: request.credentials, caFiles: reading.caFiles })
  // whoever checks a managed file may be the one who writes it: that warning is for the running proxy
  const problems = [...reading.problems.filter((problem) => problem.severity === 'error'), ...compiled.problems]
  const valid = problems.every((problem) => problem.severity !== 'error')
  return { policy: valid ? compiled.policy : undefined, problems, sources: reading.sources }
}

/** As `compileFor`, of a policy that the proxy would load; undefined: what is wrong is said on stderr. */
export async function loadablePolicy(request: PolicyRequest, io: Pick<CommandIo, 'err'>): Promise<Policy | undefined> {
  const { policy, problems, sources } = await compileFor(request)
  if (policy !== undefined) return policy
  io.err(formatProblems(problems.filter(({ severity }) => severity === 'error'), sources, request.cwd))
  io.err('the policy has errors, so the proxy would not load it\n')
  return undefined
}

/** A path as an admin would type it: relative where it lies below the current folder. */
export function shownPath(path: string, cwd: string): string {
  if (!isAbsolute(path)) return path
  const below = relative(cwd, path)
  return below === '' || below.startsWith('..') || isAbsolute(below) ? path : below
}

/** `file:line:column: severity: message`, the line and a caret, one after the other. */
export function formatProblems(problems: readonly Problem[], sources: readonly SourceFile[], cwd: string): string {
  const lines = new Map<string, readonly string[]>()
  return problems.map((problem) => formatProblem(problem, lineOf(problem, sources, lines), cwd)).join('')
}

/** The keys of a problem in `--json`, always in this order. */
export function problemJson({ severity, file, line, column, message, text }: Problem, cwd: string): object {
  return { severity, file: shownPath(file, cwd), line, column, message, text }
}

export function countOf(problems: readonly Problem[], severity: Problem['severity']): number {
  return problems.filter((problem) => problem.severity === severity).length
}

/** Control characters would let a policy file rewrite the terminal of whoever checks it. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => (character === '\t' ? ' ' : '\u{fffd}'))
}

function formatProblem(problem: Problem, line: string | undefined, cwd: string): string {
  const head = `${shownPath(problem.file, cwd)}:${problem.line}:${problem.column}: ${problem.severity}: ${problem.message.replaceAll(`${cwd}/`, '')}`
  if (line === undefined) return `${printable(head)}\n`
  const gutter = String(problem.line)
  const from = Math.max(0, Math.min(problem.column - 1 - maxColumns / 2, line.length - maxColumns))
  const cut = `${from > 0 ? '…' : ''}${line.slice(from, from + maxColumns)}${line.length > from + maxColumns ? '…' : ''}`
  const caret = ' '.repeat(problem.column - 1 - from + (from > 0 ? 1 : 0))
  return `${printable(head)}\n  ${gutter} | ${printable(cut)}\n  ${' '.repeat(gutter.length)} | ${caret}^\n`
}

function lineOf(problem: Problem, sources: readonly SourceFile[], cache: Map<string, readonly string[]>): string | undefined {
  if (problem.line < 1) return undefined
  let lines = cache.get(problem.file)
  if (lines === undefined) {
    lines = sources.find((source) => source.path === problem.file)?.text.split(/\r?\n/)
    cache.set(problem.file, lines ?? [])
  }
  const line = lines?.[problem.line - 1]
  return line === undefined || line.trim() === '' ? undefined : line
}
