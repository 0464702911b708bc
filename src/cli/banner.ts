// What `start` prints once the listeners are open: for a person, or as the one JSON line that scripts
// wait for. Pure. Credentials never appear: of a collector's URL only origin and path are shown.
import { escapeText } from '../audit/escape.ts'
import type { Listening } from '../config/listening.ts'
import { plural } from './plural.ts'

/** The readable form, ending in a newline. */
export function banner(listening: Listening, version: string): string {
  const rows: [string, string][] = [
    ['proxy', listening.proxy],
    ['ops', listening.ops === 'off' ? 'off' : `${listening.ops}  (/livez /readyz /metrics)`],
    ['control', listening.control === 'off' ? 'off' : `${listening.control}  (reviewers: page and API)`],
    ['', `${listening.controlSocket}  (the commands of this machine)`],
    ['policy', policyLine(listening)],
    ...listening.policyFiles.map((file): [string, string] => ['', file]),
    ['journal', listening.journal],
    ['export', exportLine(listening)],
  ]
  if (listening.feedNames > 0) {
    rows.splice(5, 0, ['', `${plural(listening.feedNames, 'name')} on denied lists`])
  }
  const table = rows.map(([name, value]) => `  ${name.padEnd(8)} ${escapeText(value)}`)
  const notes: string[] = []
  if (listening.mode === 'monitor') {
    notes.push('monitor mode: nothing is denied by rules; events say what would have been')
  }
  if (listening.advisory) {
    notes.push(
      'advisory mode: a program that runs as the same user as sallyport can go around it; ' +
        'docs/security.md says how to close that',
    )
  }
  notes.push(...listening.warnings.map((warning) => `warning: ${warning}`))
  const paragraphs = [
    `sallyport ${version} is running, pid ${listening.pid}`,
    table.join('\n'),
    ...(notes.length === 0 ? [] : [notes.map((note) => `  ${escapeText(note)}`).join('\n')]),
    `  try: curl -x ${reachable(listening.proxy)} https://example.com/ -I`,
  ]
  return `${paragraphs.join('\n\n')}\n`
}

function policyLine({ policy, mode, ruleCount, policyFiles }: Listening): string {
  return `revision ${policy}, ${mode}, ${plural(ruleCount, 'rule')} from ${plural(policyFiles.length, 'file')}`
}

function exportLine({ otlp, otherDestinations }: Listening): string {
  const places = [...(otlp === undefined ? [] : [`OTLP to ${withoutSecrets(otlp)}`]), ...otherDestinations.map(({ name, type }) => `${name} (${type})`)]
  return places.length === 0 ? 'none: events stay in the journal' : places.join(', ')
}

function withoutSecrets(endpoint: string): string {
  const url = URL.parse(endpoint)
  return url === null ? 'an endpoint' : `${url.origin}${url.pathname}`
}

/** A wildcard address is where one listens, not where one connects. */
function reachable(proxy: string): string {
  return proxy.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:')
}

/** The line that `--json` prints first; keys are a contract and are only ever added to. */
export function startLine(listening: Listening, version: string): string {
  const line = {
    proxy: listening.proxy,
    control: listening.control,
    control_socket: listening.controlSocket,
    ops: listening.ops,
    policy: listening.policy,
    pid: listening.pid,
    version,
    mode: listening.mode,
    policy_files: listening.policyFiles,
    rules: listening.ruleCount,
    feed_names: listening.feedNames,
    journal: listening.journal,
    otlp: listening.otlp === undefined ? null : withoutSecrets(listening.otlp),
    destinations: listening.otherDestinations.map(({ name }) => name),
    advisory: listening.advisory,
    warnings: listening.warnings,
  }
  return `${JSON.stringify(line)}\n`
}
