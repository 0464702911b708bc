// Policy files in, one policy out: parse, read, merge, check, lay out. Pure: the same texts and feeds yield
// the same policy. A single error anywhere means no policy at all; everything wrong is told at once.
import { checkClashes } from './clashes.ts'
import { checkCredentials } from './credential-rules.ts'
import type { KnownCredential } from './credential-rules.ts'
import { feedKey, fileName } from './feed-paths.ts'
import { runCases } from './cases.ts'
import { checkBelowManaged, mayAllow, mergeSettings, warnOfOverruled } from './layers.ts'
import { warnOfIdleLimits } from './limit-rules.ts'
import { mergePins } from './pins-schema.ts'
import type { Pins } from './pins-schema.ts'
import { parsePolicyToml } from './policy-toml.ts'
import { Positions } from './positions.ts'
import type { Policy } from './policy.ts'
import { Problems, SourceReader } from './problem.ts'
import type { Problem, SourceFile } from './problem.ts'
import { Fingerprint } from './revision.ts'
import { RuleBookBuilder } from './rule-book.ts'
import type { RuleBook } from './rule-book.ts'
import { readDraft } from './schema.ts'
import type { Draft } from './schema.ts'
import { warnOfShadowed } from './shadow.ts'
import { mergeWebFetch, warnOfIdleReading } from './web-fetch.ts'

export { caPaths } from './ca-paths.ts'
export type { KnownCredential } from './credential-rules.ts'
export { feedPaths } from './feed-paths.ts'
export { transferables } from './policy.ts'
export type { Policy } from './policy.ts'
export type { Problem, SourceFile } from './problem.ts'

export interface FeedFile {
  readonly path: string
  readonly bytes: Uint8Array
}

/** `policy` is undefined if and only if one of the problems is an error. */
export interface CompileResult {
  readonly policy: Policy | undefined
  readonly problems: readonly Problem[]
}

export interface CompileOptions {
  /** what the proxy itself connects to (collectors, parent proxy): denied to agents; no port: every port */
  readonly reserved?: readonly { readonly host: string; readonly port?: number | undefined }[]
  /** the credentials that process settings know; absent: not checked, and a notice says so */
  readonly credentials?: readonly KnownCredential[] | undefined
  /** bytes of the files of `origin_ca` by the `key` that caPaths gave; absent: not checked */
  readonly caFiles?: ReadonlyMap<string, Uint8Array>
}

/** Compiles all layers. `feeds` holds the bytes of the feeds by the `key` (or `path`) that feedPaths gave. */
export function compilePolicy(
  sources: readonly SourceFile[],
  feeds: ReadonlyMap<string, Uint8Array>,
  options: CompileOptions = {},
): CompileResult {
  const problems = new Problems(sources.map(({ path }) => path))
  const drafts = sources.flatMap((source) => readSource(source, problems) ?? [])
  checkIds(drafts)
  warnOfOverruled(drafts)
  warnOfIdleLimits(drafts)
  const belowManaged = checkBelowManaged(drafts, options.credentials)
  checkCredentials(drafts, options.credentials)
  checkCaFiles(drafts, options.caFiles)
  const builder = new RuleBookBuilder(drafts)
  for (const draft of drafts) {
    const below = belowManaged && draft.file.source.layer !== 'managed'
    builder.add(draft, mayAllow(draft, drafts), feeds, below)
  }
  const book = builder.finish()
  const pins = mergePins(drafts)
  checkClashes(builder.placed, book.rules, drafts, pins)
  if (problems.hasErrors) return { policy: undefined, problems: problems.list() }
  warnOfIdleReading(drafts, mergeWebFetch(drafts, (draft) => mayAllow(draft, drafts)))
  const policy = policyOf(sources, drafts, { ...book, pins: pins.pins, pinIndex: pins.pinIndex }, options)
  checkCases(policy, problems)
  warnOfShadowed(policy, builder.placed, new Map(drafts.map(({ file }) => [file.source.path, file])))
  return { policy: problems.hasErrors ? undefined : policy, problems: problems.list() }
}

function readSource(source: SourceFile, problems: Problems): Draft | undefined {
  const parsed = parsePolicyToml(source.text)
  if ('fault' in parsed) {
    problems.add({ severity: 'error', file: source.path, ...parsed.fault })
    return undefined
  }
  const { table, longLists } = parsed
  return readDraft(new SourceReader(source, new Positions(source.text, [...longLists.values()]), problems, longLists), table)
}

/** An id names one rule of a layer. */
function checkIds(drafts: readonly Draft[]): void {
  const seen = new Map<string, string>()
  for (const { file, rules } of drafts) {
    for (const { id, at, line } of rules) {
      const key = `${file.source.layer} ${id}`
      const first = seen.get(key)
      if (first === undefined) seen.set(key, `${file.source.path}:${line}`)
      else file.error([...at, 'id'], `another rule has the id \`${id}\`: ${first}`)
    }
  }
}

/**
 * The revision is that of the files: by name, layer and content, so that the same files have the same one
 * wherever they lie. What the settings reserve is left out: it cannot change while a proxy runs.
 */
function policyOf(sources: readonly SourceFile[], drafts: readonly Draft[], book: RuleBook & Pick<Pins, 'pins' | 'pinIndex'>, { reserved = [], caFiles }: CompileOptions): Policy {
  const fingerprint = new Fingerprint()
  // policy folders have no subfolders
  for (const { path, layer, text } of sources) for (const part of [fileName(path), layer, text]) fingerprint.addText(part)
  for (const { table } of book.feeds) fingerprint.addBytes(table.blob)
  // the addresses of feeds stand in the index, and in no table of names
  fingerprint.addText(book.index.patterns.filter(({ rule }) => book.rules[rule]?.kind === 'feed').map(({ text }) => text).join('\n'))
  // a root is part of what is trusted, wherever it lies
  for (const file of caFilesOf(book)) fingerprint.addBytes(new Uint8Array(caFiles?.get(file) ?? []))
  const names = reserved.map(({ host, port }) => `${host.toLowerCase()}:${port ?? '*'}`)
  return { revision: fingerprint.digest(), ...mergeSettings(drafts), ...book, reserved: new Set(names) }
}

function caFilesOf({ rules }: RuleBook): readonly string[] {
  return [...new Set(rules.flatMap(({ effects }) => effects?.trust?.caFiles ?? []))].toSorted()
}

function checkCaFiles(drafts: readonly Draft[], caFiles: ReadonlyMap<string, Uint8Array> | undefined): void {
  if (caFiles === undefined) return
  for (const { file, rules } of drafts) {
    for (const { at, path } of rules.flatMap(({ effects }) => effects?.originCa ?? [])) {
      if (!caFiles.has(feedKey(file.source.path, path))) file.error(at, `the file of roots \`${path}\` was not read`)
    }
  }
}

function checkCases(policy: Policy, problems: Problems): void {
  for (const { case: each, passed, got } of runCases(policy)) {
    if (passed) continue
    const { file, line, column, text, expect } = each
    problems.add({ severity: 'error', file, line, column, text, message: `\`${expect}\` does not hold for \`${text}\`: ${got}` })
  }
}
